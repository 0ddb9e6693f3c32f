// REPEAT_UNBOUNDED: a repeat says how often at most.
#include "verify/rules.h"

namespace sluice {

void rule_repeat_bound(const VerifyContext& context, const PlanFacts&, Diagnostics& out) {
  for (const Step& step : context.plan.steps) {
    if (!step.repeat || step.repeat->max_rounds > 0) continue;
    out.error(ErrorCode::kRepeatUnbounded, step.repeat->pos,
              "a repeat needs a bound; add max: 10 (or how many rounds you want at most)");
  }
}

}  // namespace sluice
