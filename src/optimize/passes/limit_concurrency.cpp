// limit_concurrency: no more calls at once than a callee was seen to gain from.
//
// A tool that works on one file, a server with two workers, a database with one lock: beyond some
// number of calls at once each takes so much longer that fewer are done in a second. Runs measure,
// call by call, how many calls of the same callee were under way on average meanwhile and how long
// it took (docs/architecture/cost.md). Where a run's own calls show that more at once got less done
// (the most done in a second at 4 calls at once, say, and a tenth less at 8 or more), this pass
// advises the fewest calls at once that got within a twentieth of the most done. The runtime takes
// the lesser of that and what the tool or the plan states.
//
// Exact: calls wait for each other longer and are the same calls; it never raises what is stated.
//
// Refuses: calls that go out together (bulk_calls comes before): each of a bulk was under way with
// all the others, so what was seen of calls at once tells nothing of bulks at once, and fewer calls
// at once would only make the bulks smaller. Callees of which nothing of the kind is known, or not
// of every step of the plan that calls them (a callee may do light and heavy work). Embedded
// models: their engine takes all requests, computes as many at once as its measured costs say, and
// sorts the better the more it sees waiting.
//
// Example:
//   tool `index` with `concurrency: 16`; seen: 4 at once 80 calls/s, 8 at once 78, 16 at once 52
//   at most 4 calls of tool:index at once
//
// Saves: seconds where a callee gets slower under load, and load on it.
//
// Source: the knee of a throughput curve; mean calls under way by Little's law (L = lambda W).
#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "cost/call_levels.h"
#include "fmt/format.h"
#include "optimize/passes/passes.h"

namespace sluice {
namespace {

constexpr double kOneRow = 1.5;  // a step with fewer tells nothing about many at once

struct Callee {
  std::uint32_t most = 0;    // over its steps
  bool all_known = true;     // of each step that calls it often
  bool gathered = false;     // its calls go out together
  std::uint32_t stated = 0;  // what is allowed anyhow; 0: any number
};

bool calls_often(const PhysicalPassContext& context, const PhysicalStep& step) {
  const StepEstimate* known = context.estimate.find(step.logical.id);
  return known == nullptr ? step.mapped : known->calls.middle > kOneRow;
}

std::map<std::string, Callee, std::less<>> look_at_callees(const PhysicalPassContext& context) {
  std::map<std::string, Callee, std::less<>> callees;
  for (const PhysicalStep& step : context.plan.steps) {
    const bool gathered = step.advice.bulk > 1;
    if (step.resource.empty() || (!gathered && !has_call_levels(context.plan, step))) continue;
    Callee& callee = callees[step.resource];
    callee.stated = std::max(callee.stated, step.resource_limit);
    callee.gathered = callee.gathered || gathered;
    if (!calls_often(context, step)) continue;
    const std::uint32_t knee = calls_knee(step.step_hash, *context.history);
    callee.most = std::max(callee.most, knee);
    callee.all_known = callee.all_known && knee > 0;
  }
  return callees;
}

}  // namespace

void advise_limit_concurrency(PhysicalPassContext& context) {
  if (context.history == nullptr) return;
  auto callees = look_at_callees(context);
  std::erase_if(callees, [](const auto& entry) {
    const Callee& callee = entry.second;
    const bool less = callee.stated == 0 || callee.most < callee.stated;
    return !callee.all_known || callee.most == 0 || !less;
  });
  if (callees.empty()) return;
  for (PhysicalStep& step : context.plan.steps) {
    const auto found = callees.find(step.resource);
    if (found == callees.end()) continue;
    if (found->second.gathered) {
      context.notes.refused(step.logical.id,
                            "its calls go out together: what was seen of calls at once does not "
                            "tell of these");
      continue;
    }
    const std::uint32_t most = found->second.most;
    step.advice.most_at_once = most;
    // A step that has said so itself is not told.
    if (step.logical.concurrency && *step.logical.concurrency <= most) continue;
    context.notes.did(step.logical.id,
                      fmt::format("at most {} calls of {} at once: with more, fewer were done in a "
                                  "second",
                                  most, step.resource));
  }
}

}  // namespace sluice
