// batch: fixed. Sarathi-Serve as published: every decoding request's token first, then prompt
// chunks in order up to a fixed number of tokens. Deterministic requests are always computed so.
#include <algorithm>

#include "schedule/policies.h"

namespace sluice {

void batch_of_fixed_size(const BatchInput& input, ScheduleDecision& decision) {
  std::uint32_t left = std::min(input.round.snapshot.batch_tokens, input.cells);
  for (const Candidate* one : input.decoding) {
    std::uint32_t tokens = std::max(one->view->next_tokens, 1U);
    if (tokens > left) continue;
    decision.decode.push_back(one->view->id);
    left -= tokens;
  }
  for (const Candidate* one : input.prefilling) {
    std::uint32_t tokens = std::min(left, one->left_prompt);
    if (tokens == 0) continue;
    decision.prefill.push_back({one->view->id, tokens});
    left -= tokens;
  }
}

}  // namespace sluice
