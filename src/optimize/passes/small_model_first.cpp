// small_model_first: a smaller model is asked first, and its answer is taken when it was sure of
// it; only else the step's own model is asked. The settings of a model say which one that is and
// how sure it has to be: `first: MODEL` and `least_confidence`, 0.9 where nothing is said. The
// confidence of an answer is the probability that the model gave to its tokens, in the middle:
// e to the mean of their log probabilities. Tokens that an output schema leaves no choice about do
// not count. Both models are asked with the settings of the step's own one.
//
// Approximate: a small model may be sure and wrong. Settings without `allow` change nothing but are
// checked: a model that is not there is an error.
//
// Example: rows are triaged by a small model, and by the large one where it is in doubt
//
//   allow: [small_model_first]
//   models:
//     small: {kind: embedded, file: small.gguf}
//     large: {kind: embedded, file: large.gguf, first: small, least_confidence: 0.95}
//   steps:
//     kind: {llm: large, with: {prompt: "{{ params.text }}"}, output: {enum: [a, b]}}
//
// Refuses: steps that offer tools, whose turns would be of two minds, and models whose `first` is
// one that the plan does not have at that place. A `first` of the first model is not followed.
//
// Saves: the calls of the large model that the small one answers. How many these are is told at the
// end of a run; a call that both are asked costs both, and a run counts the tokens and the money of
// both. A server that gives no log probabilities is of no use as the first model: its answer is
// never taken, and the run says so.
//
// Source: model cascades (Chen, Zaharia, Zou, "FrugalGPT", 2023), with the model's own probability
// in place of a trained judge.
#include <cmath>
#include <string>

#include "fmt/format.h"
#include "optimize/passes/passes.h"

namespace sluice {
namespace {

constexpr double kLeastConfidence = 0.9;

double least_confidence(const Value& settings) {
  const Value* least = settings.find("least_confidence");
  const bool stated = least && least->is_number() && least->as_double() > 0;
  return stated ? least->as_double() : kLeastConfidence;
}

}  // namespace

void advise_small_model_first(PhysicalPassContext& context) {
  const Plan& plan = *context.plan.logical;
  for (PhysicalStep& step : context.plan.steps) {
    const Step& logical = step.logical;
    if (logical.op != OperatorKind::kLlm) continue;
    const NamedSettings* own = plan.find_model(logical.target);
    const Value* first = own ? own->settings.find("first") : nullptr;
    if (!first || !first->is_string() || first->as_string() == logical.target) continue;
    const std::string id(first->as_string());
    if (logical.with.find("tools")) {
      context.notes.refused(logical.id, "it offers tools: its turns are of one model");
      continue;
    }
    if (id != "default" && !plan.find_model(id)) {
      context.notes.refused(logical.id, fmt::format("there is no model {} here", id));
      continue;
    }
    const double least = least_confidence(own->settings);
    step.advice.first_model = id;
    step.advice.least_logprob = std::log(least);
    context.notes.did(logical.id, fmt::format("{} is asked first; {} where its confidence is below "
                                              "{:g}",
                                              id, logical.target, least));
  }
}

}  // namespace sluice
