// FALLBACK_INVALID: a step that on_error names runs only instead of another: it has no items of its
// own, nobody else reads it, and it stands in for one step.
#include "fmt/format.h"
#include "verify/rules.h"

namespace sluice {

void rule_fallbacks(const VerifyContext& context, const PlanFacts& facts, Diagnostics& out) {
  const auto& steps = context.plan.steps;
  auto invalid = [&](SourcePos pos, std::string message) {
    out.error(ErrorCode::kFallbackInvalid, pos, std::move(message));
  };
  for (std::uint32_t i = 0; i < steps.size(); ++i) {
    const Step& step = steps[i];
    for (const Reference& read : facts.steps[i].reads) {
      if (facts.steps[facts.index_of(read.step)].fallback_of == kNoIndex) continue;
      const Step& stands_for = steps[facts.steps[facts.index_of(read.step)].fallback_of];
      invalid(read.pos, fmt::format("{} runs only when {} fails and lends it its output; read "
                                    "steps.{}.output",
                                    read.step, stands_for.id, stands_for.id));
    }
    if (!step.on_error || step.on_error->kind != OnErrorRule::Kind::kStep) continue;
    std::uint32_t fallback = facts.index_of(step.on_error->step);
    if (fallback == kNoIndex) continue;
    const Step& other = steps[fallback];
    SourcePos pos = step.on_error->pos;
    if (fallback == i) {
      invalid(pos, fmt::format("{} cannot stand in for itself; use retry", step.id));
    } else if (other.for_each) {
      invalid(pos,
              fmt::format("{} has for_each; a step that stands in runs for one task, with item "
                          "and index",
                          other.id));
    } else if (other.when) {
      invalid(pos, fmt::format("{} has when; a step that stands in runs exactly when the other "
                               "fails",
                               other.id));
    } else if (other.on_error && other.on_error->kind == OnErrorRule::Kind::kStep) {
      invalid(pos, fmt::format("{} stands in and has a step that stands in itself; one level only",
                               other.id));
    } else if (facts.steps[fallback].fallback_of != i) {
      invalid(pos, fmt::format("{} stands in for {} already; write a second step", other.id,
                               steps[facts.steps[fallback].fallback_of].id));
    }
  }
  for (const Reference& read : references_of(context.plan.result, EdgeUse::kBody)) {
    std::uint32_t from = facts.index_of(read.step);
    if (from == kNoIndex || facts.steps[from].fallback_of == kNoIndex) continue;
    invalid(read.pos,
            fmt::format("{} runs only when another step fails; read that one", read.step));
  }
}

}  // namespace sluice
