// inline_plans: the steps of a sub-plan are done in the plan that calls it. What the call was given
// is written where the sub-plan read its parameters; the call itself becomes a value of what the
// sub-plan's result says, with the call's id, so that nothing that reads it can tell. A sub-plan
// that is called for each item becomes steps that go over the same items. Its steps begin when what
// they read themselves is there, and other passes see across the border: a question that both plans
// ask is asked once, and a condition reaches the work that it may spare.
// It is right because a sub-plan sees nothing but its parameters and leaves nothing behind but its
// result. The value fails where a step inside failed that the result hangs on in any way; others
// are not done at all, since they change nothing. It reads as null what was skipped inside; and
// where an input of the call is skipped, nothing of it runs. Tasks keep their names (`call[3]/ask`)
// and steps their hashes, so history, journals and shared results mean the same.
//
// Example:
//   plans: {about: {params: {text: {type: string}},
//     steps: {lang: {tool: t.lang, with: {text: "{{ params.text }}"}}},
//     result: "{{ steps.lang.output }}"}}
//   steps:
//     row: {for_each: "{{ params.texts }}", plan: about, with: {text: "{{ item }}"}}
//
//   steps:
//     row_lang: {for_each: "{{ params.texts }}", tool: t.lang, with: {text: "{{ item }}"}}
//     row: {for_each: "{{ params.texts }}", value: "{{ steps.row_lang.output[index] }}"}
//
// Refuses: calls with a condition, an order, a rule for failures, a retry, repeat, timeout, budget,
// cache, concurrency or a schema of their output, and those that state what they do without an
// input. Plans with a budget, a concurrency, `undo`, `allow` or more than 32 steps. Plans with
// steps that are calls, waits or tables themselves, that have effects (`idempotent`, `once`), can
// be undone, give their items one by one, have a budget or a step that stands in for them, and
// those that use tools or models of the plan's own. Where the plan is called for each item also
// steps with a for_each, an order, a concurrency or a reading of a status, steps that may fail
// without the result: item by item nothing else could make it fail; and steps that read, where the
// call waits for something with an effect and they would not. (Of a single call they come after
// it.) Arguments of which it is not certain that they fit the parameter's schema: a call checks
// them. Calls of which an input may be skipped, unless every step inside reads it, directly or not.
// Forked runs: which of their steps run again is said by the names of calls.
//
// Saves: the wait for the slowest argument of a call before its first step and for its slowest step
// before what reads a part of it, and what other passes find across the border. In a run that fails
// because an argument did, pure and reading steps that do not need it may have been done already.
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "fmt/ranges.h"
#include "optimize/inline_call.h"
#include "optimize/passes/passes.h"

namespace sluice {
namespace {

constexpr std::size_t kMostNewSteps = 1000;  // in one plan: planning takes time, too

}  // namespace

void rewrite_inline_plans(LogicalPassContext& context) {
  PlanDraft& draft = context.draft;
  std::vector<std::uint32_t> calls;
  for (const std::uint32_t step : draft.order()) {
    const Step& each = draft.steps()[step];
    if (each.op == OperatorKind::kPlan && !each.produced_plan) calls.push_back(step);
  }
  if (calls.empty()) return;
  const Plan& found = draft.plan();  // outlives the draft's changes
  std::optional<PlanFacts> facts;
  std::set<std::string, std::less<>> taken;
  for (const Step& step : draft.steps()) taken.insert(step.id);
  const StepSkips skips(draft);
  std::map<const Plan*, CalledPlan> called;
  const InlineSurroundings around{.draft = draft,
                                  .tools = context.tools,
                                  .skips = skips,
                                  .facts = [&]() -> const PlanFacts& {
                                    if (!facts) facts.emplace(VerifyContext{found, context.tools});
                                    return *facts;
                                  },
                                  .taken = taken,
                                  .called = called};
  std::size_t added = 0;
  for (const std::uint32_t call : calls) {
    const std::string id = draft.steps()[call].id;
    if (added >= kMostNewSteps) {
      context.notes.refused(id, "the plan would become too large");
      continue;
    }
    auto made = inline_call(around, call);
    if (!made) {
      context.notes.refused(id, std::move(made.error()));
      continue;
    }
    std::vector<std::string> names;
    for (auto& [step, from] : made->steps) {
      names.push_back(step.id);
      draft.add(std::move(step), std::move(from));
    }
    added += names.size();
    draft.replace(call, std::move(made->result));
    context.notes.did(id, names.empty()
                              ? "its plan has no steps: it is a value"
                              : fmt::format("its steps are done here: {}", fmt::join(names, ", ")));
  }
}

}  // namespace sluice
