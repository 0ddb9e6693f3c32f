// rank_by_cost: what has the longest way to the end goes first.
//
// Of two tasks that could start, the one with more seconds left behind it should (the upward rank
// of list scheduling, HEFT). Without estimates the runtime counts steps; this pass puts the
// expected microseconds in their place, and tells the engine the seconds that are left behind a
// request and how many tokens its answer had before.
//
// Exact: it changes when things are done, not what is done.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "fmt/format.h"
#include "optimize/passes/passes.h"

namespace sluice {
namespace {

// Room above for the steps of a long chain that are all beyond what can be told apart.
constexpr double kMostMicros = std::numeric_limits<std::uint32_t>::max() - (1U << 20);

std::uint32_t micros(double seconds) {
  if (!(seconds > 0)) return 0;
  return static_cast<std::uint32_t>(std::min(seconds * 1e6, kMostMicros));
}

// Three of four answers stay within it.
std::optional<std::uint32_t> expected_tokens(const StepEstimate& known) {
  const Estimate& tokens = known.completion_tokens;
  const bool seen =
      tokens.source == EstimateSource::kHistory || tokens.source == EstimateSource::kSample;
  if (!seen || !(tokens.high >= 1) || tokens.high > kMostMicros) return std::nullopt;
  return static_cast<std::uint32_t>(std::lround(tokens.high));
}

}  // namespace

void advise_rank_by_cost(PhysicalPassContext& context) {
  std::vector<PhysicalStep>& steps = context.plan.steps;
  std::vector<const StepEstimate*> known;
  known.reserve(steps.size());
  for (const PhysicalStep& step : steps) {
    known.push_back(context.estimate.find(step.logical.id));
    if (known.back() == nullptr) return;  // seconds and steps cannot be compared
  }
  const StepEstimate* longest = nullptr;
  for (std::size_t i = steps.size(); i-- > 0;) {
    PhysicalStep& step = steps[i];
    const double left_s = std::max(known[i]->remaining_s, 0.0);
    step.rank = micros(left_s);
    // Above all that read it, also where the estimate cannot tell them apart.
    for (const std::uint32_t consumer : step.consumers) {
      step.rank = std::max(step.rank, steps[consumer].rank + 1);
    }
    // A fallback is as urgent as the step that it stands in for (which comes behind it).
    if (step.fallback_of != kNoIndex) step.rank = steps[step.fallback_of].rank;
    step.advice.remaining_s = left_s;
    if (step.logical.op == OperatorKind::kLlm) {
      step.advice.expected_tokens = expected_tokens(*known[i]);
    }
    if (longest == nullptr || left_s > longest->remaining_s) longest = known[i];
  }
  if (steps.size() < 2 || longest == nullptr || longest->remaining_s <= 0) return;
  context.notes.did("", fmt::format("tasks go by the seconds behind them; most has {}: {:.3g} s",
                                    longest->id, longest->remaining_s));
}

}  // namespace sluice
