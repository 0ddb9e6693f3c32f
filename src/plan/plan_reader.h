// From the tree of a plan's text to the logical plan. One reader for each plan, the sub-plans
// inside included; what they share is in ReadState. Internal to plan/. One thread.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "plan/form_reader.h"
#include "plan/logical.h"
#include "plan/parse.h"
#include "plan/scope.h"

namespace sluice {

struct ReadState {
  const ParseOptions& options;
  Diagnostics& out;
  std::vector<std::string> files;
  std::vector<std::string> open_files;       // being read now, outermost first
  std::vector<std::shared_ptr<Plan>> plans;  // all, so that each gets the list of files
  std::size_t steps = 0;
};

class PlanReader : private FormReader {
 public:
  // `outer`: the plan around this one, whose tools, models and schemas it sees.
  PlanReader(ReadState& state, const Plan* outer)
      : FormReader(state.out), state_(state), outer_(outer) {}

  std::shared_ptr<Plan> read(const TextNode& root, bool version_required);

 private:
  // A step while it is read: which names its expressions may use.
  struct StepScope {
    Place place = Place::kTask;
    ScopeFlags flags;
    ScopeFlags once;  // without what only a repeat has
  };

  // plan_reader.cpp: the plan's own keys
  void version(const TextNode& root, bool required);
  void params(const TextMember& member);
  void schemas(const TextMember& member);
  void named(const TextMember& member, std::vector<NamedSettings>& into);
  void inherit();
  void sub_plans(const TextMember& member);
  PlanPtr sub_plan(const TextMember& member);
  PlanPtr plan_of_file(const TextMember& file);
  void collect_names(const TextMember* steps);
  void steps(const TextMember& member);
  Value source_of(const TextNode& root) const;
  SchemaPtr schema(const TextNode& node);

  // bind.cpp: values with expressions
  Binding bind(const TextNode& node, Place place, ScopeFlags flags);
  void bind_string(const TextNode& node, Place place, ScopeFlags flags, Binding& into);
  const NameResolver& resolver(Place place, ScopeFlags flags);

  // read_step.cpp: a step's keys
  void step(const TextMember& member);
  void operator_of(const TextNode& map, const StepScope& scope, Step& step);
  void target(const TextMember& key, const StepScope& scope, Step& step);
  void with(const TextMember& key, const StepScope& scope, Step& step);
  Binding bind_map(const TextMember& key, Place place, ScopeFlags flags);
  void modifiers(const TextNode& map, const StepScope& scope, Step& step);
  void flow_key(const TextMember& key, const StepScope& scope, Step& step);
  void failure_key(const TextMember& key, const StepScope& scope, Step& step);
  void bound_key(const TextMember& key, Step& step);

  // read_wait.cpp: the operator that waits
  void wait(const TextMember& key, const StepScope& scope, Step& step);
  void signal_name(const TextMember& member);
  bool not_of_a_wait(const TextMember& key);

  // read_table.cpp: the operator that asks something of rows
  class TableReader;
  void table(const TextMember& key, const StepScope& scope, Step& step);
  bool not_of_a_table(const TextMember& key);

  // read_rules.cpp: the rules that have keys of their own
  void joins(const TextMember& key, const StepScope& scope, Step& step);
  JoinRule join_rule(const TextMember& member, const StepScope& scope);
  std::optional<JoinAction> join_action(const TextMember& member, const StepScope& scope);
  RepeatRule repeat(const TextMember& key, const StepScope& scope);
  RetryRule retry(const TextMember& key);
  void retry_codes(const TextMember& key, RetryRule& rule);
  std::optional<OnErrorRule> on_error(const TextMember& key, const StepScope& scope);
  Limits limits(const TextMember& key);

  ReadState& state_;
  const Plan* outer_;
  std::shared_ptr<Plan> plan_;
  ScopeNames names_;
  std::map<std::string, bool, std::less<>> fallbacks_;  // id -> the failing step is mapped
  std::map<std::pair<Place, int>, NameResolver> resolvers_;
};

}  // namespace sluice
