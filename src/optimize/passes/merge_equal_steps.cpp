// merge_equal_steps: two pure steps that say the same are done once, and what read the one reads
// the other.
//
//   a: {llm: default, with: {prompt: "Name a colour"}}
//   b: {llm: default, with: {prompt: "Name a colour"}}    # gone
//   c: {value: "{{ steps.b.output }}"}                    # reads steps.a.output
//
// Exact because a pure call with the same inputs gives the same output, and because everything but
// the id is the same: what is called, its inputs, items, condition, joins, order, output, repeat,
// retry, timeout, on_error, cache, concurrency and budget. Merging makes readers equal, so steps
// are looked at producers first, each with the names that its inputs have by then.
//
// Left alone: steps that are not pure (five samples of one prompt stay five), waits, produced
// plans, steps that stand in for others or have one that does, what can be undone, and two steps
// whose common reader takes them differently where they are missing.
#include <algorithm>
#include <map>
#include <optional>

#include "base/failpoint.h"
#include "data/hash.h"
#include "data/json.h"
#include "fmt/format.h"
#include "optimize/passes/passes.h"
#include "plan/binding_text.h"
#include "plan/table_query.h"

namespace sluice {
namespace {

using Names = std::map<std::string, std::string, std::less<>>;

bool can_merge(const PlanDraft& draft, std::uint32_t index, const ToolCatalog& tools) {
  const Step& step = draft.steps()[index];
  if (step.op == OperatorKind::kWait || step.produced_plan || draft.is_fallback(index)) {
    return false;
  }
  if (step.on_error && step.on_error->kind == OnErrorRule::Kind::kStep) return false;
  const Effect most = failpoint(Failpoint::kMergeReads)     ? Effect::kRead
                      : failpoint(Failpoint::kMergeEffects) ? Effect::kOnce
                                                            : Effect::kPure;
  return draft.effect(index) <= most && !can_be_undone(step, draft.plan(), tools);
}

// The meaning of a step as a hash: everything but its id, with the names of steps as they are
// after the merges so far.
class Meaning {
 public:
  Meaning(const Names& names, const ToolCatalog& tools) : names_(names), tools_(tools) {}

  Hash256 of(const Step& step) {
    hasher_.field(operator_name(step.op)).field(step.target);
    const FunctionSpec* function =
        step.op == OperatorKind::kTool ? tools_.find(step.target, step.function) : nullptr;
    hasher_.field(function ? function->name : step.function);
    if (step.table) hasher_.field(content_hash(table_text(*step.table)));
    if (!failpoint(Failpoint::kMergeIgnoresItems)) add(step.for_each);
    if (!failpoint(Failpoint::kMergeIgnoresCondition)) add(step.when);
    if (!failpoint(Failpoint::kMergeIgnoresInputs)) add(body_of(step));
    if (!failpoint(Failpoint::kMergeIgnoresOutput)) {
      hasher_.field(step.output ? canonical_json(step.output->source()) : "");
    }
    add_joins(step);
    add_order(step);
    add_rules(step);
    return hasher_.finish();
  }

 private:
  const std::string& name(const std::string& id) const {
    auto found = names_.find(id);
    return found == names_.end() ? id : found->second;
  }

  void add(const std::optional<Binding>& binding) {
    hasher_.field(binding ? "is" : "none");
    if (binding) add(*binding);
  }

  void add(const Binding& binding) {
    switch (binding.kind) {
      case Binding::Kind::kExpr:
        add_leaf(binding);
        return;
      case Binding::Kind::kList:
        hasher_.field("list").field(binding.items.size());
        for (const Binding& item : binding.items) add(item);
        return;
      case Binding::Kind::kMap:
        hasher_.field("map").field(binding.members.size());
        for (const auto& [key, member] : binding.members) {
          hasher_.field(key);
          add(member);
        }
        return;
    }
  }

  void add_leaf(const Binding& leaf) {
    std::span<const ExprInput> inputs = leaf.expr.inputs();
    auto constant = inputs.empty() ? leaf.expr.as_constant() : std::nullopt;
    bool template_text = leaf.text.find('{') != std::string::npos;
    if (constant && !template_text) {
      hasher_.field("constant").field(kind_name(constant->kind())).field(canonical_json(*constant));
      return;
    }
    std::vector<std::optional<std::string>> texts(inputs.size());
    bool renamed = false;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (inputs[i].root != "steps" || inputs[i].path.size() < 2) continue;
      auto found = names_.find(inputs[i].path[0]);
      if (found == names_.end()) continue;
      texts[i] = fmt::format("steps.{}.{}{}", found->second, inputs[i].path[1],
                             inputs[i].slot ? "[index]" : "");
      renamed = true;
    }
    std::optional<std::string> text;
    if (renamed) text = leaf.expr.to_string_with(texts);
    hasher_.field("expression").field(text ? *text : leaf.expr.to_string());
  }

  void add(const JoinAction& action) {
    hasher_.field(static_cast<std::uint64_t>(action.kind));
    if (action.kind == JoinAction::Kind::kValue) add(action.value);
  }

  void add_joins(const Step& step) {
    std::map<std::string, const JoinRule*> sorted;
    for (const auto& [id, rule] : step.joins) sorted.emplace(name(id), &rule);
    hasher_.field(sorted.size());
    for (const auto& [id, rule] : sorted) {
      hasher_.field(id);
      add(rule->skipped);
      add(rule->failed);
    }
  }

  void add_order(const Step& step) {
    std::vector<std::string> sorted;
    for (const auto& after : step.after) sorted.push_back(name(after.value));
    std::ranges::sort(sorted);
    auto repeats = std::ranges::unique(sorted);
    sorted.erase(repeats.begin(), repeats.end());
    hasher_.field(sorted.size());
    for (const std::string& id : sorted) hasher_.field(id);
  }

  void add_rules(const Step& step) {
    std::string rules = rules_text(step);
    if (step.repeat) {
      rules += fmt::format("repeat {} {};", step.repeat->max_rounds, step.repeat->delay_ms);
    }
    const Budget& budget = step.budget;
    if (budget.tokens) rules += fmt::format("tokens {};", *budget.tokens);
    if (budget.calls) rules += fmt::format("calls {};", *budget.calls);
    if (budget.seconds) rules += fmt::format("seconds {};", *budget.seconds);
    if (budget.usd) rules += fmt::format("usd {};", *budget.usd);
    hasher_.field(rules);
    if (step.repeat) add(step.repeat->until);
    const bool gives = step.on_error && step.on_error->kind == OnErrorRule::Kind::kValue;
    if (gives) add(step.on_error->value);
  }

  const Names& names_;
  const ToolCatalog& tools_;
  Hasher hasher_;
};

// What each reader does where a group of equal steps is missing, by reader and group. Two steps of
// a group that are taken differently cannot be one.
class Takings {
 public:
  explicit Takings(const PlanDraft& draft) : draft_(draft) {}

  // The reader that takes `step` otherwise than it takes those of `group` so far.
  const Step* conflict(std::uint32_t step, std::uint32_t group) const {
    for (const Reader& reader : draft_.readers(step)) {
      if (!counts(reader)) continue;
      auto known = rules_.find({reader.step, group});
      if (known == rules_.end()) continue;
      if (!same_join(*known->second, rule(reader.step, step))) return &draft_.steps()[reader.step];
    }
    return nullptr;
  }
  void join(std::uint32_t step, std::uint32_t group) {
    for (const Reader& reader : draft_.readers(step)) {
      if (counts(reader)) {
        rules_.emplace(std::pair(reader.step, group), &rule(reader.step, step));
      }
    }
  }

 private:
  static bool counts(const Reader& reader) {
    return reader.step != kNoIndex && reader.read.mode != EdgeMode::kStatus &&
           reader.read.mode != EdgeMode::kOrder;
  }
  const JoinRule& rule(std::uint32_t reader, std::uint32_t step) const {
    return join_of(draft_.steps()[reader], draft_.steps()[step].id);
  }

  const PlanDraft& draft_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, const JoinRule*> rules_;
};

void note_merged(LogicalPassContext& context, const Step& step, const Step& first) {
  PassNote& note = context.notes.did(step.id, fmt::format("the same as {}: done once", first.id));
  if (const StepEstimate* cost = context.estimate.find(step.id)) {
    note.saved_calls = cost->calls.middle;
    note.saved_tokens =
        cost->calls.middle * (cost->prompt_tokens.middle + cost->completion_tokens.middle);
    note.saved_s = cost->busy_s.middle;
  }
}

}  // namespace

void rewrite_merge_equal_steps(LogicalPassContext& context) {
  PlanDraft& draft = context.draft;
  std::map<Hash256, std::uint32_t> groups;  // a meaning: the first step that has it
  Takings takings(draft);
  Names names;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> merged;
  for (std::uint32_t step : draft.order()) {
    if (!can_merge(draft, step, context.tools)) continue;
    const Step& written = draft.steps()[step];
    auto [group, first] = groups.emplace(Meaning(names, context.tools).of(written), step);
    if (!first) {
      const Step& same = draft.steps()[group->second];
      if (const Step* reader = takings.conflict(step, group->second)) {
        context.notes.refused(written.id,
                              fmt::format("the same as {}, but {} does not take both alike where "
                                          "they are missing",
                                          same.id, reader->id));
        continue;
      }
      names.emplace(written.id, same.id);
      merged.emplace_back(step, group->second);
    }
    takings.join(step, group->second);
  }
  if (merged.empty()) return;
  auto redirected = draft.redirect(merged);
  if (!redirected) {
    context.notes.refused("", redirected.error().message());
    return;
  }
  std::vector<std::uint32_t> gone;
  for (const auto& [from, to] : merged) {
    note_merged(context, draft.steps()[from], draft.steps()[to]);
    gone.push_back(from);
  }
  draft.remove(std::move(gone));
}

}  // namespace sluice
