// STEP_UNKNOWN in after, join and on_error; JOIN_UNUSED for a join of a step that is not read.
// (Names inside expressions are resolved when they are compiled.)
#include <algorithm>

#include "fmt/format.h"
#include "plan/names.h"
#include "verify/rules.h"

namespace sluice {

void rule_step_names(const VerifyContext& context, const PlanFacts& facts, Diagnostics& out) {
  std::vector<std::string_view> ids;
  ids.reserve(context.plan.steps.size());
  for (const Step& step : context.plan.steps) ids.push_back(step.id);
  auto known = [&](std::string_view id, SourcePos pos) {
    if (facts.index_of(id) != kNoIndex) return true;
    out.error(ErrorCode::kStepUnknown, pos,
              fmt::format("no step {}{}", shown(id), did_you_mean(id, ids)));
    return false;
  };
  for (const Step& step : context.plan.steps) {
    for (const auto& after : step.after) known(after.value, after.pos);
    if (step.on_error && step.on_error->kind == OnErrorRule::Kind::kStep) {
      known(step.on_error->step, step.on_error->pos);
    }
    if (step.joins.empty()) continue;
    const auto& reads = facts.steps[facts.index_of(step.id)].reads;
    for (const auto& [id, join] : step.joins) {
      if (!known(id, join.pos) || context.plan.broken) continue;
      bool read = std::ranges::any_of(reads, [&](const Reference& reference) {
        return reference.step == id && reference.mode != EdgeMode::kStatus;
      });
      if (read) continue;
      out.error(ErrorCode::kJoinUnused, join.pos,
                fmt::format("{} does not read the output of {}; remove this join", step.id, id));
    }
  }
}

}  // namespace sluice
