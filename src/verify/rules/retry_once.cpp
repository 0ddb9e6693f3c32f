// RETRY_ONCE: what must happen once is not repeated blindly.
#include "fmt/format.h"
#include "verify/rules.h"

namespace sluice {
namespace {

bool retry_is_blind(const Step& step, const VerifyContext& context, const PlanFacts& facts) {
  if (step.op == OperatorKind::kTool) {
    // Functions that only their server knows are checked once it has been asked.
    const FunctionSpec* spec = facts.function_of(step);
    return spec && spec->effect == Effect::kOnce && !spec->has_probe;
  }
  if (step.produced_plan) return false;  // its steps state their own retries
  return effect_of(step, context.plan, context.tools) == Effect::kOnce;
}

}  // namespace

void rule_retry_once(const VerifyContext& context, const PlanFacts& facts, Diagnostics& out) {
  for (const Step& step : context.plan.steps) {
    if (!step.retry || step.retry->attempts < 2 || !retry_is_blind(step, context, facts)) continue;
    std::string what = step.op == OperatorKind::kTool ? step.target : step.id;
    out.error(ErrorCode::kRetryOnce, step.retry->pos,
              fmt::format("{} has effect once and no probe; a retry may do it twice (say effect: "
                          "idempotent if that is harmless)",
                          what));
  }
}

}  // namespace sluice
