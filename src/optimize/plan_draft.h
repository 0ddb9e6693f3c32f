// PlanDraft: a logical plan while a pass changes it, with what passes keep asking of it: who reads
// what and how. Changes are whole steps at a time, so that the index stays true. The plan that it
// is made from outlives it and is copied at the first change. One pass, one thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/name_map.h"
#include "plan/logical.h"
#include "plan/references.h"
#include "plan/rewrite.h"
#include "plan/tool_catalog.h"

namespace sluice {

// One reading of a step's output, status or end by another step or by the result.
struct Reader {
  std::uint32_t step = kNoIndex;  // index into steps(); kNoIndex: the plan's result
  Reference read;
};

// A step of a sub-plan whose work is done in this plan.
struct InlinedStep {
  std::string id;       // here
  std::string call;     // the step that called the sub-plan
  std::string plan;     // the sub-plan's id
  std::string step;     // its id there; "": there it was no step
  std::string name;     // of its tasks, behind that of the call's
  bool mapped = false;  // the call has a task per item
};

class PlanDraft {
 public:
  PlanDraft(const Plan& plan, const ToolCatalog& tools);

  const Plan& plan() const { return copy_ ? *copy_ : source_; }
  const std::vector<Step>& steps() const { return plan().steps; }
  std::uint32_t index_of(std::string_view id) const;              // kNoIndex: no such step
  const std::vector<Reference>& reads(std::uint32_t step) const;  // of other steps
  const std::vector<Reader>& readers(std::uint32_t step) const;   // who reads it
  bool slots(std::uint32_t step) const;                           // has_slots
  Effect effect(std::uint32_t step) const;
  // Another step's on_error names it.
  bool is_fallback(std::uint32_t step) const;
  // It reads the step one slot at a time, slot i for task i.
  bool reads_slot(const Reader& reader) const;
  bool changed() const { return copy_ != nullptr; }
  // Producers first; among those that could come next, the one written first.
  std::vector<std::uint32_t> order() const;

  // The step as `made`, with the same id, less its joins of what it no longer reads. The index
  // follows.
  void replace(std::uint32_t step, Step made);
  void set_result(Binding result);
  // A step more, behind those that are there. No other step has its id. Its index.
  std::uint32_t add(Step made);
  // The same for one that does what a step of a sub-plan did.
  void add(Step made, InlinedStep from);
  const std::vector<InlinedStep>& inlined() const { return inlined_; }
  // Nothing that stays may read them any more. Indices behind them move down.
  void remove(std::vector<std::uint32_t> steps);
  void remove(std::uint32_t step) { remove(std::vector<std::uint32_t>{step}); }
  // Lets `step` run only where `condition` (an expression's text) holds too. Errors as
  // expression_binding has them; nothing is changed then.
  Result<void> add_condition(std::uint32_t step, std::string_view condition);
  // All readers of `from` (results, joins, after, status) read `to` instead. Nothing is changed
  // when one of them cannot be rewritten.
  Result<void> redirect(std::uint32_t from, std::uint32_t to);
  // Many at once: (from, to), where no `to` is a `from`.
  Result<void> redirect(const std::vector<std::pair<std::uint32_t, std::uint32_t>>& pairs);
  // The ids of what was redirected, (from, to), in that order.
  const std::vector<std::pair<std::string, std::string>>& redirected() const { return redirected_; }

  // The changed plan, a rewriting of the user's `written`.
  PlanPtr take(const PlanPtr& written);

 private:
  using Names = std::map<std::string, std::string, std::less<>>;

  Plan& change();
  void index();
  void add_readers(std::uint32_t step);
  void drop_readers(std::uint32_t step);

  const Plan& source_;
  std::shared_ptr<Plan> copy_;  // once something has changed
  const ToolCatalog& tools_;
  NameMap<std::uint32_t> by_id_;
  std::vector<std::vector<Reference>> reads_;
  std::vector<std::vector<Reader>> readers_;
  std::vector<char> slots_;
  std::vector<char> fallback_;
  mutable std::vector<std::optional<Effect>> effects_;  // of steps that were asked about
  std::vector<std::pair<std::string, std::string>> redirected_;
  std::vector<InlinedStep> inlined_;
};

// The text of an expression that is true exactly where all of `conjuncts` are, and a boolean.
std::string all_of(const std::vector<std::string>& conjuncts);

}  // namespace sluice
