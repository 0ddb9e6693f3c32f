// The models that bench/attention decodes with. One thread.
#pragma once

#include <string>

#include "engine/model_file.h"

namespace sluice::bench {

// `file` itself where its weights are Q8_0, else a Q8_0 file made from it once, in the
// folder `bench` beside it: models in the same folder would be ones that `sluice run` has to ask
// about.
std::string q8_0_file(const std::string& file);

// A second architecture, unlike SmolLM2 in what attention sees: Qwen3 with heads of 128 in 8 query
// and 2 KV heads, 6 layers, random Q8_0 weights, nothing on disk.
ModelHandle random_model();

}  // namespace sluice::bench
