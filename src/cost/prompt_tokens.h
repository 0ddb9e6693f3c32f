// How many tokens the prompt of an llm step will have: what is known of it counted with the model's
// tokenizer, the rest by defaults. One thread.
#pragma once

#include "cost/estimate.h"
#include "cost/known_values.h"
#include "cost/plan_cost.h"

namespace sluice {

struct PromptTokens {
  Estimate tokens;
  double prefix = 0;  // of these: at the front, and equal for all tasks of the step
};

// `model` may be null.
PromptTokens prompt_tokens(const PhysicalStep& step, std::uint32_t index, KnownValues& known,
                           const ModelCost* model);

// How many tokens an answer that fits the schema will have, where that says something.
std::optional<double> answer_tokens(const Value& schema);

// The fixed text of a template ("Is {{ item }} new?" has "Is  new?"), how many holes it has, and
// how much of the text stands before the first.
struct FixedText {
  std::string text;
  std::size_t holes = 0;
  std::size_t front = 0;
};
FixedText fixed_text(std::string_view source);

}  // namespace sluice
