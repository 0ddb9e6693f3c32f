#include "engine/embedder.h"

#include <fmt/format.h>
#include <llama.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace sluice {
namespace {

constexpr std::uint32_t kMostTokens = 2048;  // of one text: computed in one go

}  // namespace

Embedder::Embedder(llama_model* model, const Vocabulary& vocabulary, std::uint32_t context_tokens,
                   std::uint32_t threads)
    : model_(model),
      vocabulary_(vocabulary),
      context_tokens_(std::min(context_tokens, kMostTokens)),
      threads_(threads) {}

Result<void> Embedder::open() {
  if (context_) return {};
  take_llama_complaint();
  llama_context_params params = llama_context_default_params();
  params.n_ctx = context_tokens_;
  params.n_batch = context_tokens_;
  params.n_ubatch = context_tokens_;
  params.n_seq_max = 1;
  params.n_threads = static_cast<std::int32_t>(threads_);
  params.n_threads_batch = static_cast<std::int32_t>(threads_);
  params.embeddings = true;
  params.no_perf = true;
  context_.reset(llama_init_from_model(model_, params));
  if (context_ && llama_pooling_type(context_.get()) == LLAMA_POOLING_TYPE_NONE) {
    params.pooling_type = LLAMA_POOLING_TYPE_MEAN;
    context_.reset(llama_init_from_model(model_, params));
  }
  if (context_) return {};
  return fail(ErrorCode::kModelRefused,
              fmt::format("this model gives no embeddings: {}", take_llama_complaint()));
}

Result<std::vector<float>> Embedder::embed_one(const std::string& text) {
  std::array<TextSegment, 1> segments{TextSegment{.text = text, .data = true}};
  std::vector<Token> tokens = vocabulary_.tokenize(segments);
  if (tokens.empty()) return fail(ErrorCode::kModelRefused, "an empty text has no embedding");
  if (tokens.size() > context_tokens_) {
    return fail(ErrorCode::kPromptTooLong,
                fmt::format("a text to embed has {} tokens, and at most {} fit", tokens.size(),
                            context_tokens_));
  }
  llama_memory_clear(llama_get_memory(context_.get()), false);
  llama_batch batch = llama_batch_get_one(tokens.data(), static_cast<std::int32_t>(tokens.size()));
  if (int status = llama_decode(context_.get(), batch); status != 0) {
    return fail(ErrorCode::kDecodeFailed,
                fmt::format("the engine could not compute an embedding (status {})", status));
  }
  const float* state = llama_get_embeddings_seq(context_.get(), 0);
  if (!state) return fail(ErrorCode::kModelRefused, "this model gives no embeddings");
  auto size = static_cast<std::size_t>(llama_model_n_embd_out(model_));
  std::vector<float> out(state, state + size);
  double sum = 0;
  for (float x : out) sum += static_cast<double>(x) * x;
  if (sum > 0) {
    for (float& x : out) x = static_cast<float>(x / std::sqrt(sum));
  }
  return out;
}

Result<std::vector<std::vector<float>>> Embedder::embed(const std::vector<std::string>& texts) {
  std::lock_guard lock(mutex_);
  if (auto opened = open(); !opened) return std::unexpected(opened.error());
  std::vector<std::vector<float>> out;
  for (const std::string& text : texts) {
    auto vector = embed_one(text);
    if (!vector) return std::unexpected(vector.error());
    out.push_back(std::move(*vector));
  }
  return out;
}

}  // namespace sluice
