// How far a model in another weight format is from the file that it was made of: the next-token
// distributions of both on the same text. Blocks; any thread.
#pragma once

#include <cstdint>
#include <functional>

#include "base/error.h"

struct llama_model;

namespace sluice {

struct WeightLoss {
  double mean_kl = 0;         // in nats, of the source's distribution against the other's
  double top1_agreement = 0;  // part of places where both find the same token most likely
  std::uint32_t tokens = 0;   // places that were compared
};

struct LossOptions {
  std::uint32_t threads = 0;  // 0: the machine's cores
  bool own_attention = true;
  std::uint32_t most_tokens = 1536;
};
// On a text of prose, code and JSON that comes with the program. Both have one vocabulary.
// kModelLoad when there is no memory for two contexts, kDecodeFailed.
Result<WeightLoss> measure_loss(llama_model* source, llama_model* other,
                                const LossOptions& options);

// The sum over a vocabulary of p log(p / q), from the logits of both; for tests.
double kl_divergence(const float* logits, const float* others, std::size_t count);

}  // namespace sluice
