#include "bench/attention/pool.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/random.h"

namespace sluice::bench {
namespace {

constexpr std::size_t kBatch = 2048;  // llama.cpp's defaults for n_batch and n_ubatch
constexpr std::uint32_t kMicroBatch = 512;

llama_token token_at(int sequence, int position, std::uint64_t vocabulary) {
  const auto seed =
      static_cast<std::uint64_t>(sequence) << 32 | static_cast<std::uint32_t>(position);
  return static_cast<llama_token>(Random(seed).below(vocabulary));
}

}  // namespace

Pool::Pool(llama_model* model, const PoolOptions& options)
    : vocabulary_(static_cast<std::uint64_t>(llama_vocab_n_tokens(llama_model_get_vocab(model)))),
      tokens_(kBatch),
      positions_(kBatch),
      counts_(kBatch, 1),
      sequences_(kBatch),
      sequence_pointers_(kBatch),
      outputs_(kBatch) {
  llama_context_params params = llama_context_default_params();
  params.n_ctx = static_cast<std::uint32_t>(options.tokens);
  params.n_batch = kBatch;
  params.n_ubatch = kMicroBatch;
  params.n_seq_max = static_cast<std::uint32_t>(options.sequences);
  params.n_threads = options.threads;
  params.n_threads_batch = options.threads;
  params.flash_attn_type =
      options.flash ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
  params.type_k = GGML_TYPE_F16;
  params.type_v = GGML_TYPE_F16;
  params.kv_unified = options.unified;
  params.no_perf = true;
  context_.reset(llama_init_from_model(model, params));
  if (!context_) fail(fmt::format("no context: {}", take_llama_complaint()));
  memory_ = llama_get_memory(context_.get());
  for (std::size_t i = 0; i < kBatch; ++i) sequence_pointers_[i] = &sequences_[i];
}

void Pool::add(std::size_t at, int sequence, int position, bool output) {
  tokens_[at] = token_at(sequence, position, vocabulary_);
  positions_[at] = position;
  sequences_[at] = sequence;
  outputs_[at] = static_cast<std::int8_t>(output);
}

void Pool::decode_batch(std::size_t count) {
  const llama_batch batch{.n_tokens = static_cast<std::int32_t>(count),
                          .token = tokens_.data(),
                          .embd = nullptr,
                          .pos = positions_.data(),
                          .n_seq_id = counts_.data(),
                          .seq_id = sequence_pointers_.data(),
                          .logits = outputs_.data()};
  if (const int failed = llama_decode(context_.get(), batch); failed != 0) {
    fail(fmt::format("llama_decode gave {}: {}", failed, take_llama_complaint()));
  }
  llama_synchronize(context_.get());
}

void Pool::remove_after(int sequence, int position) {
  if (!llama_memory_seq_rm(memory_, sequence, position, -1)) fail("tokens cannot be removed");
}

void Pool::fill_to(int depth) {
  while (depth_ < depth) {
    const int now = std::min(depth - depth_, static_cast<int>(kMicroBatch));
    for (int i = 0; i < now; ++i) {
      add(static_cast<std::size_t>(i), 0, depth_ + i, i + 1 == now);
    }
    decode_batch(static_cast<std::size_t>(now));
    depth_ += now;
  }
}

void Pool::share(int sequences) {
  for (int s = 1; s < sequences; ++s) llama_memory_seq_cp(memory_, 0, s, 0, depth_);
}

Blob Pool::save_sequence(int sequence) {
  Blob blob(llama_state_seq_get_size(context_.get(), sequence));
  blob.resize(llama_state_seq_get_data(context_.get(), blob.data(), blob.size(), sequence));
  if (blob.empty()) fail("the KV of a sequence cannot be saved");
  return blob;
}

void Pool::restore(int sequence, const Blob& blob) {
  if (llama_state_seq_set_data(context_.get(), blob.data(), blob.size(), sequence) == 0) {
    fail(fmt::format("the KV of a sequence cannot be restored: {}", take_llama_complaint()));
  }
}

Blob Pool::save() { return save_sequence(0); }

std::vector<Blob> Pool::save_cells() {
  std::vector<Blob> cells;
  for (int position = 0; position < depth_; ++position) {
    llama_memory_seq_cp(memory_, 0, 1, position, position + 1);
    cells.push_back(save_sequence(1));
    remove_after(1, -1);
  }
  return cells;
}

void Pool::copy_to_all(const Blob& blob, int sequences, int depth) {
  for (int s = 0; s < sequences; ++s) restore(s, blob);
  depth_ = depth;
}

void Pool::interleave(const std::vector<Blob>& cells, int sequences) {
  const int scratch = sequences;  // restoring clears its target first
  for (std::size_t position = 0; position < cells.size(); ++position) {
    const auto at = static_cast<int>(position);
    for (int s = 0; s < sequences; ++s) {
      restore(scratch, cells[position]);
      llama_memory_seq_cp(memory_, scratch, s, at, at + 1);
      remove_after(scratch, -1);
    }
  }
  depth_ = static_cast<int>(cells.size());
}

Turn Pool::decode(int sequences, int steps) {
  double seconds = 0;
  for (int step = 0; step < steps; ++step) {
    for (int s = 0; s < sequences; ++s) add(static_cast<std::size_t>(s), s, depth_ + step, true);
    const double start = seconds_now();
    decode_batch(static_cast<std::size_t>(sequences));
    seconds += seconds_now() - start;
  }
  const float* logits = llama_get_logits_ith(context_.get(), 0);
  Turn turn{.speed = static_cast<double>(sequences) * steps / seconds,
            .output = std::vector<float>(logits, logits + vocabulary_)};
  for (int s = 0; s < sequences; ++s) remove_after(s, depth_);
  return turn;
}

Turn Pool::prefill(int tokens, int times) {
  double seconds = 0;
  Turn turn;
  for (int time = 0; time < times; ++time) {
    for (int i = 0; i < tokens; ++i) {
      add(static_cast<std::size_t>(i), 0, depth_ + i, i + 1 == tokens);
    }
    const double start = seconds_now();
    decode_batch(static_cast<std::size_t>(tokens));
    seconds += seconds_now() - start;
    const float* logits = llama_get_logits_ith(context_.get(), -1);
    turn.output.assign(logits, logits + vocabulary_);
    remove_after(0, depth_);
  }
  turn.speed = static_cast<double>(tokens) * times / seconds;
  return turn;
}

}  // namespace sluice::bench
