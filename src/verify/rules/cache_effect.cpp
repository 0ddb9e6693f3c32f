// CACHE_EFFECT: only what changes nothing is answered from a cache.
#include "fmt/format.h"
#include "verify/rules.h"

namespace sluice {

void rule_cache_effect(const VerifyContext& context, const PlanFacts& facts, Diagnostics& out) {
  for (const Step& step : context.plan.steps) {
    if (!step.cache_ttl_ms) continue;
    if (step.op == OperatorKind::kTool && !facts.function_of(step)) continue;  // not known yet
    Effect effect = effect_of(step, context.plan, context.tools);
    if (effect == Effect::kPure || (effect == Effect::kRead && *step.cache_ttl_ms > 0)) continue;
    out.error(ErrorCode::kCacheEffect, step.cache_pos,
              effect == Effect::kRead
                  ? fmt::format("{} reads what may change; say how long it stays good: cache: "
                                "{{ttl: 10m}}",
                                step.id)
                  : fmt::format("{} has effect {}; a cache would leave it out", step.id,
                                effect_name(effect)));
  }
}

}  // namespace sluice
