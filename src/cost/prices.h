// What a model of a server costs in money, from the `price` of its settings: US dollars for a
// million tokens of prompts and of completions. Pure; any thread.
#pragma once

#include "data/value.h"

namespace sluice {

struct ModelPrice {
  double usd_per_prompt_token = 0;
  double usd_per_completion_token = 0;
};

// `price: {prompt: 0.15, completion: 0.6}`; zero where nothing is stated.
ModelPrice price_of(const Value& model_settings);

}  // namespace sluice
