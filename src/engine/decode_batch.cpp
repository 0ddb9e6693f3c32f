#include "engine/decode_batch.h"

#include <llama.h>

#include <algorithm>

#include "base/failpoint.h"

namespace sluice {
namespace {

constexpr std::int32_t kDeep = 150;

// A fault that a test has ordered; 0: none.
int injected() {
  if (failpoint(Failpoint::kDecodeNoCells)) return 1;
  if (failpoint(Failpoint::kDecodeAborted)) return 2;
  if (failpoint(Failpoint::kDecodeInvalid)) return -1;
  return 0;
}

// The same for one that comes when the cells are taken already.
int injected_late(std::span<const std::int32_t> positions) {
  if (failpoint(Failpoint::kDecodeFails)) return -3;
  if (failpoint(Failpoint::kDecodeFailsDeep) && std::ranges::max(positions) > kDeep) return -3;
  return 0;
}

}  // namespace

DecodeBatch::DecodeBatch(std::span<const BatchPart> parts) : parts_(parts) {
  for (const BatchPart& part : parts) {
    auto position = static_cast<std::int32_t>(part.position);
    for (Token token : part.tokens) {
      tokens_.push_back(token);
      positions_.push_back(position++);
      sequences_.push_back(part.sequence);
      outputs_.push_back(0);
    }
    last_.push_back(static_cast<std::int32_t>(tokens_.size()) - 1);
    if (part.output) outputs_.back() = 1;
  }
  sequence_counts_.assign(tokens_.size(), 1);
  for (SequenceId& sequence : sequences_) sequence_pointers_.push_back(&sequence);
}

int DecodeBatch::compute(llama_context* context) {
  if (int status = injected(); status != 0) return status;
  int status = llama_decode(context, {.n_tokens = static_cast<std::int32_t>(tokens_.size()),
                                      .token = tokens_.data(),
                                      .embd = nullptr,
                                      .pos = positions_.data(),
                                      .n_seq_id = sequence_counts_.data(),
                                      .seq_id = sequence_pointers_.data(),
                                      .logits = outputs_.data()});
  return status != 0 ? status : injected_late(positions_);
}

const float* DecodeBatch::logits(llama_context* context, std::size_t part) const {
  return llama_get_logits_ith(context, last_[part]);
}

}  // namespace sluice
