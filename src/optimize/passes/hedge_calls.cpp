// hedge_calls: a call that takes far longer than its like gets a second attempt beside it.
//
// Of many calls of one function a few take ten times as long as the rest: a server that has just
// stalled, a connection that was lost, a worker that swaps. Who waits for all of them waits for the
// slowest. Where earlier runs have told how long calls of a step take, a pure call that has taken
// half as long again as 95 of 100 did is made a second time; the first good answer counts and the
// other call is cancelled. A run may make one such attempt, and then one for every twenty calls of
// all its steps that could have one. The journal sees one call, with the tokens of every attempt
// that has ended; the summary says how many were tried twice.
//
// Right, because a pure call gives the same for the same inputs, whichever attempt answers. It is
// no exact pass, since it makes more calls: it runs only where the plan says `allow:
// [hedge_calls]`.
//
// Refuses: calls that are not pure, models with tools, streams, steps with fewer than twenty calls
// in the statistics, models that this process runs itself (the second attempt would only slow the
// first), and steps whose calls go out in bulk.
//
// Example:
//
//   allow: [hedge_calls]
//   tools: {geo: {kind: http, url: "https://geo.example", effect: pure}}
//   steps:
//     place: {for_each: "{{ params.rows }}", tool: geo, with: {path: "{{ item }}"}}
//
// Saves: the slowest calls' time. It costs up to one call in twenty.
// Source: J. Dean and L. A. Barroso, "The Tail at Scale", Communications of the ACM 56, 2013.
#include <algorithm>
#include <optional>

#include "fmt/format.h"
#include "optimize/passes/passes.h"

namespace sluice {
namespace {

constexpr std::uint64_t kEnoughCalls = 20;
constexpr double kQuantile = 0.95;
constexpr double kFactor = 1.5;
constexpr double kSoonestS = 0.05;  // below that a second attempt costs more than it saves

bool calls_alone(const PhysicalStep& step) {
  const Step& logical = step.logical;
  if (step.effect != Effect::kPure || step.streams || step.has_undo) return false;
  if (logical.op == OperatorKind::kLlm) return logical.with.find("tools") == nullptr;
  return logical.op == OperatorKind::kTool || logical.op == OperatorKind::kCode;
}

// `default` may be anything until it is opened: the host looks again.
bool runs_here(const PhysicalStep& step, const Plan& plan) {
  if (step.logical.op != OperatorKind::kLlm) return false;
  const NamedSettings* model = plan.find_model(step.logical.target);
  return model != nullptr && model->kind != "openai";
}

}  // namespace

void advise_hedge_calls(PhysicalPassContext& context) {
  for (PhysicalStep& step : context.plan.steps) {
    if (!calls_alone(step)) continue;
    const std::string& id = step.logical.id;
    if (runs_here(step, *context.plan.logical)) {
      context.notes.refused(id, "a second attempt would only slow the first: one engine has both");
      continue;
    }
    if (step.advice.bulk > 1) {
      context.notes.refused(id, "its calls go out in bulk");
      continue;
    }
    std::optional<StepStatistics> known;
    if (context.history != nullptr) known = context.history->find(step.step_hash);
    if (!known || known->seconds.count() < kEnoughCalls) {
      context.notes.refused(id, "too little is known of how long its calls take");
      continue;
    }
    const double after_s = std::max(kFactor * known->seconds.quantile(kQuantile), kSoonestS);
    step.advice.hedge_after_s = after_s;
    context.notes.did(id,
                      fmt::format("a call that takes over {:.3g} s is tried once more beside it "
                                  "(95 of 100 took at most {:.3g} s)",
                                  after_s, known->seconds.quantile(kQuantile)));
  }
}

}  // namespace sluice
