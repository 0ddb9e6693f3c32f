// GRAMMAR_UNENFORCEABLE (warning): what of an llm's output schema decoding cannot enforce.
#include "fmt/format.h"
#include "verify/rules.h"

namespace sluice {

void rule_grammar(const VerifyContext& context, const PlanFacts&, Diagnostics& out) {
  for (const Step& step : context.plan.steps) {
    if (step.op != OperatorKind::kLlm || !step.output) continue;
    auto loose = step.output->not_in_grammar();
    if (loose.empty()) continue;
    out.warning(
        ErrorCode::kGrammarUnenforceable, step.output_pos,
        fmt::format("decoding does not enforce {}; an answer that breaks it fails "
                    "afterwards (OUTPUT_INVALID)",
                    fmt::join(loose.subspan(0, std::min<std::size_t>(loose.size(), 5)), ", ")));
  }
}

}  // namespace sluice
