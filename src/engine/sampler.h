// Chooses the next token from logits: greedy, or temperature and top-p with the request's own
// random numbers, so that the same seed gives the same choices whatever else runs in the batch.
// Owned by one request; one thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "schedule/model_request.h"
#include "schedule/prefix_tree.h"

namespace sluice {

// One bit per token, as XGrammar fills it; empty: every token is allowed.
using TokenMask = std::span<const std::int32_t>;

inline bool allowed(TokenMask mask, std::size_t token) {
  return mask.empty() || ((static_cast<std::uint32_t>(mask[token / 32]) >> (token % 32)) & 1) != 0;
}

class Sampler {
 public:
  Sampler(const Sampling& sampling, std::uint64_t seed);

  // -1 when the mask allows no token. Ties go to the lower token id.
  Token pick(std::span<const float> logits, TokenMask mask);
  // Choosing without a mask, and with it only where the choice is forbidden, is the same as with it
  // at once: the best of all, if allowed, is the best allowed; and what is drawn again after a
  // refusal falls on the allowed tokens in proportion. Not so where top-p cuts first.
  bool mask_can_wait() const { return temperature_ <= 0 || top_p_ >= 1; }

 private:
  struct Candidate {
    float logit;
    Token token;
  };
  double temperature_;
  double top_p_;
  Random random_;
  std::vector<Candidate> candidates_;  // reused
};

// The model's own log probabilities (before temperature and grammar) of `token` and of the `top`
// most likely tokens, most likely first.
struct Logprobs {
  double chosen = 0;
  std::vector<std::pair<Token, double>> top;
};
Logprobs logprobs(std::span<const float> logits, Token token, std::size_t top);

}  // namespace sluice
