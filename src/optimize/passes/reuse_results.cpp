// reuse_results: what a model said in an earlier run stands for an equal call of this one.
//
// People run a plan again and again while they write it, and a table that has grown by a day is
// mostly yesterday's table. A greedy or seeded call of a model gives the same for the same inputs,
// so its answer is kept in the cache folder under its meaning (the model file's hash, or the
// server's address and the model's name, the step with its template and schema, sampling, the bound
// inputs, and the build of this program, since another one may put prompts together otherwise) and
// taken from there when an equal call comes in a later run, within 30 days. The file is bounded
// (256 MiB, what was used last stays). A cache that cannot be opened, read or written is one that
// misses. The summary, `runs show` and `explain --analyze` say how many calls were answered from
// earlier runs; such a call costs no call of a `budget`. The rows of `sluice batch --sample` are
// asked anew, because they are to show what the other rows cost.
//
// Exact by the meaning of effects: a pure call gives the same for the same inputs. A step that says
// `cache: {ttl}` is kept by what it says. `--without reuse_results` asks everything anew.
//
// Refuses: what is not pure (sampled without a seed: five samples stay five), models with tools,
// streams, and, of a model behind a server, answers that only a seed makes equal, since servers do
// not promise to honour it. Calls whose inputs are labelled secret are neither looked up nor kept.
//
// Example:
//
//   steps:
//     ask: {for_each: "{{ params.rows }}", llm: default, with: {prompt: "Is {{ item }} new?"}}
//
// The second run of this plan, with ten more rows, asks ten times.
//
// Saves: every call that an earlier run has made. The estimate does not count on it: what rows will
// come is not known.
#include <optional>
#include <string>

#include "base/failpoint.h"
#include "optimize/passes/passes.h"

namespace sluice {
namespace {

bool asks_alone(const PhysicalStep& step) {
  const Step& logical = step.logical;
  if (logical.op != OperatorKind::kLlm || logical.with.find("tools") != nullptr) return false;
  const Effect most = failpoint(Failpoint::kReuseReads) ? Effect::kRead : Effect::kPure;
  return !step.streams && !step.has_undo && step.effect <= most;
}

bool is_zero(const Value& value) { return value.is_number() && value.as_double() == 0; }

// It is pure for its seed alone.
bool by_seed_only(const Step& step, const NamedSettings& model) {
  if (const Binding* own = step.with.find("temperature")) {
    const std::optional<Value> known = own->as_constant();
    return !known || !is_zero(*known);
  }
  const Value* sampling = model.settings.find("sampling");
  const Value* stated = sampling != nullptr ? sampling->find("temperature") : nullptr;
  return stated != nullptr && !is_zero(*stated);
}

}  // namespace

void advise_reuse_results(PhysicalPassContext& context) {
  for (PhysicalStep& step : context.plan.steps) {
    if (!asks_alone(step) || step.logical.cache_ttl_ms) continue;
    const NamedSettings* model = context.plan.logical->find_model(step.logical.target);
    if (model != nullptr && model->kind == "openai" && by_seed_only(step.logical, *model)) {
      context.notes.refused(step.logical.id, "a server need not honour the seed");
      continue;
    }
    step.advice.reuse_results = true;
    context.notes.did(step.logical.id, "answers of earlier runs stand for equal calls");
  }
}

}  // namespace sluice
