// share_equal_calls: calls of pure steps with equal inputs are made once in a run.
//
// Rows of a table repeat themselves: about every fourth change-log entry says what another one
// says. A call of a pure model, tool or code step whose bound inputs an earlier call of the run
// had, in whatever row or sub-plan, gets that call's result. The advice is carried out by the
// host: it keeps a bounded table of results, and a call whose twin is under way waits for it; when
// that one fails or is cancelled, each makes its own.
//
// Exact, because a pure call gives the same for the same inputs. Left alone: what is not pure
// (five samples of one prompt stay five), models with tools, streams, and what can be undone.
#include <string>

#include "base/failpoint.h"
#include "optimize/passes/passes.h"

namespace sluice {
namespace {

constexpr double kWorthTelling = 0.5;  // calls

bool can_share(const PhysicalStep& step) {
  const Step& logical = step.logical;
  const bool calls = logical.op == OperatorKind::kLlm || logical.op == OperatorKind::kTool ||
                     logical.op == OperatorKind::kCode;
  const bool agent = logical.op == OperatorKind::kLlm && logical.with.find("tools") != nullptr;
  const Effect most = failpoint(Failpoint::kShareReads)     ? Effect::kRead
                      : failpoint(Failpoint::kShareEffects) ? Effect::kOnce
                                                            : Effect::kPure;
  return calls && !agent && !step.streams && !step.has_undo && step.effect <= most;
}

}  // namespace

void advise_share_equal_calls(PhysicalPassContext& context) {
  for (PhysicalStep& step : context.plan.steps) {
    if (!can_share(step)) continue;
    step.advice.share_equal = true;
    const std::string& id = step.logical.id;
    const StepEstimate* known = context.estimate.find(id);
    const bool many = known == nullptr || known->rows.middle > 1;
    if (!many) continue;
    PassNote& note = context.notes.did(id, "calls with equal inputs are made once");
    if (known == nullptr) continue;
    const double part = 1 - known->distinct.middle;
    const double spared = known->calls.middle * part;
    if (spared < kWorthTelling) continue;
    note.saved_calls = spared;
    note.saved_s = known->busy_s.middle * part;
    const double tokens = known->prompt_tokens.middle + known->completion_tokens.middle;
    if (tokens > 0) note.saved_tokens = spared * tokens;
  }
}

}  // namespace sluice
