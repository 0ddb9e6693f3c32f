// bulk_calls: tasks that are ready together go out as one call where the tool takes many.
//
// An embedding, a look-up by key or a translation often costs little and its way there much. A
// function that declares `bulk: N` takes the arguments of up to N tasks in one call and gives as
// many results. The host collects the calls of a step that are ready in the same turn of its event
// loop, and those that come while a bulk call of it is out, and sends them together. Each task has
// its own end: an item's error is that task's alone, its output is checked alone, and a call that
// fails as a whole is made again call by call, so that one task's bad input fails nobody else. A
// call that nobody joins goes out as it always did. Journal, trace and budget see single calls.
//
// Exact, because only pure and read functions may declare it, and every task is answered with what
// its own arguments gave. A bulk call takes one of the function's places.
//
// Refuses: functions that do not declare `bulk`. `bulk` itself is refused, when the plan is
// checked, of functions with other effects and of those that stream.
//
// Example:
//
//   tools:
//     words: {kind: python, file: words.py, effect: pure, bulk: 50}
//   steps:
//     each: {for_each: "{{ params.rows }}", tool: words.embed, with: {text: "{{ item }}"}}
//
// 200 rows are four calls of `embed(calls=[{"text": ...}, ...])`.
//
// Saves: the way there and back of all calls but one of each bulk.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "base/failpoint.h"
#include "fmt/format.h"
#include "optimize/passes/passes.h"

namespace sluice {
namespace {

const FunctionSpec* bulk_function(const PhysicalStep& step, const ToolCatalog& tools) {
  if (step.logical.op != OperatorKind::kTool) return nullptr;
  const FunctionSpec* function = tools.find(step.logical.target, step.logical.function);
  if (function == nullptr || function->bulk < 2) return nullptr;
  const Effect most = failpoint(Failpoint::kBulkEffects) ? Effect::kOnce : Effect::kRead;
  const bool fits = function->effect <= most && !function->streams && !step.streams;
  return fits ? function : nullptr;
}

std::uint32_t product(std::uint32_t a, std::uint32_t b) {
  const std::uint64_t all = std::uint64_t{a} * b;
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint32_t>::max();
  return static_cast<std::uint32_t>(std::min(all, kMost));
}

}  // namespace

void advise_bulk_calls(PhysicalPassContext& context) {
  for (PhysicalStep& step : context.plan.steps) {
    const FunctionSpec* function = bulk_function(step, context.tools);
    if (function == nullptr) continue;
    // Of every step that calls it, also a single task: they share its places.
    step.advice.bulk = function->bulk;
    if (step.resource_limit > 0) {
      step.resource_limit = product(step.resource_limit, function->bulk);
    }
    const std::string& id = step.logical.id;
    const StepEstimate* known = context.estimate.find(id);
    const double calls = known == nullptr ? 0 : known->calls.middle;
    if (!step.mapped && calls <= 1) continue;
    // So many can be ready at once.
    std::uint32_t together = std::min(function->bulk, context.plan.concurrency);
    if (step.logical.concurrency) together = std::min(together, *step.logical.concurrency);
    if (together < 2) {
      context.notes.refused(id, "its tasks run one at a time");
      continue;
    }
    std::string text = fmt::format("up to {} of its calls go out as one", together);
    if (together < function->bulk) {
      text += fmt::format(" (its tool takes {}: raise `concurrency`)", function->bulk);
    }
    PassNote& note = context.notes.did(id, std::move(text));
    if (calls <= 1) continue;
    note.saved_trips = calls - std::ceil(calls / together);
  }
}

}  // namespace sluice
