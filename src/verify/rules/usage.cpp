// STEP_UNUSED and STEP_UNREACHABLE (warnings): work for nobody, and work that never happens.
#include "data/expr.h"
#include "fmt/format.h"
#include "verify/rules.h"

namespace sluice {
namespace {

bool constant_false(const std::optional<Binding>& condition) {
  if (!condition) return false;
  auto constant = condition->as_constant();
  return constant && !truthy(*constant);
}

void unreachable(const VerifyContext& context, const PlanFacts& facts, Diagnostics& out) {
  std::vector<char> dead(facts.steps.size(), 0);
  for (std::uint32_t i : facts.order) {
    const Step& step = context.plan.steps[i];
    if (constant_false(step.when)) {
      dead[i] = 1;
      out.warning(ErrorCode::kStepUnreachable, step.when->pos,
                  fmt::format("{} never runs: when is always false", step.id));
      continue;
    }
    for (const Reference& read : facts.steps[i].reads) {
      const JoinRule* join = step.find_join(read.step);
      bool passes_on = read.mode != EdgeMode::kStatus && read.mode != EdgeMode::kOrder &&
                       (!join || join->skipped.kind != JoinAction::Kind::kValue);
      std::uint32_t from = facts.index_of(read.step);
      // A mapped step that is skipped task by task still gives a list of null slots.
      bool whole = !context.plan.steps[from].for_each || facts.reads_slot(step, read);
      if (dead[from] == 0 || !passes_on || !whole || dead[i] != 0) continue;
      dead[i] = 1;
      out.warning(ErrorCode::kStepUnreachable, read.pos,
                  fmt::format("{} never runs: it reads {}, which never runs", step.id, read.step));
    }
  }
}

}  // namespace

void rule_usage(const VerifyContext& context, const PlanFacts& facts, Diagnostics& out) {
  unreachable(context, facts, out);
  if (context.plan.broken || facts.cyclic) return;  // who reads what is not known for sure
  std::vector<char> used(facts.steps.size(), 0);
  for (std::uint32_t i = 0; i < facts.steps.size(); ++i) {
    for (const Reference& read : facts.steps[i].reads) used[facts.index_of(read.step)] = 1;
    if (facts.steps[i].fallback_of != kNoIndex) used[i] = 1;
  }
  for (const Reference& read : references_of(context.plan.result, EdgeUse::kBody)) {
    std::uint32_t from = facts.index_of(read.step);
    if (from != kNoIndex) used[from] = 1;
  }
  for (std::uint32_t i = 0; i < used.size(); ++i) {
    const Step& step = context.plan.steps[i];
    if (used[i] != 0 || effect_of(step, context.plan, context.tools) != Effect::kPure) continue;
    out.warning(ErrorCode::kStepUnused, step.pos,
                fmt::format("nothing reads {}, and it changes nothing; remove it or read it in "
                            "result",
                            step.id));
  }
}

}  // namespace sluice
