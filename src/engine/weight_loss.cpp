#include "engine/weight_loss.h"

#include <fmt/format.h>
#include <llama.h>

#include <algorithm>
#include <cmath>
#include <string_view>
#include <thread>
#include <vector>

#include "engine/attention/attention.h"
#include "engine/model_file.h"
#include "engine/vocabulary.h"

namespace sluice {
namespace {

constexpr std::string_view kSample =
#include "engine/sample_text.inc"
    ;
constexpr std::size_t kWindow = 128;  // tokens that are computed with all their logits
constexpr std::size_t kLead = 8;      // of each window: too little in front to compare

ContextHandle make_context(llama_model* model, const LossOptions& options) {
  std::uint32_t threads =
      options.threads ? options.threads : std::max(1U, std::thread::hardware_concurrency());
  llama_context_params params = llama_context_default_params();
  params.n_ctx = params.n_batch = params.n_ubatch = params.n_outputs_max = kWindow;
  params.n_seq_max = 1;
  params.n_threads = params.n_threads_batch = static_cast<std::int32_t>(threads);
  params.no_perf = true;
  return ContextHandle(llama_init_from_model(model, params));
}

// All logits of the window are there afterwards.
Result<void> compute(llama_context* context, std::vector<Token> window) {
  llama_memory_clear(llama_get_memory(context), false);
  std::vector<std::int8_t> all(window.size(), 1);
  llama_batch batch = llama_batch_get_one(window.data(), static_cast<std::int32_t>(window.size()));
  batch.logits = all.data();
  int status = llama_decode(context, batch);
  if (status == 0) return {};
  return fail(ErrorCode::kDecodeFailed, fmt::format("comparing weights failed (status {}) {}",
                                                    status, take_llama_complaint()));
}

double log_sum(const float* logits, std::size_t count) {
  float most = *std::max_element(logits, logits + count);
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i) sum += static_cast<double>(std::exp(logits[i] - most));
  return most + std::log(sum);
}

}  // namespace

double kl_divergence(const float* logits, const float* others, std::size_t count) {
  double own_sum = log_sum(logits, count);
  double other_sum = log_sum(others, count);
  double out = 0;
  for (std::size_t i = 0; i < count; ++i) {
    double own = logits[i] - own_sum;
    if (own > -25) out += std::exp(own) * (own - (others[i] - other_sum));
  }
  return std::max(out, 0.0);
}

Result<WeightLoss> measure_loss(llama_model* source, llama_model* other,
                                const LossOptions& options) {
  AttentionScope attention(options.own_attention);
  ContextHandle own = make_context(source, options);
  ContextHandle theirs = make_context(other, options);
  if (!own || !theirs) {
    return fail(ErrorCode::kModelLoad, "there is not enough memory to compare two models");
  }
  Vocabulary vocabulary(source);
  std::vector<Token> text = vocabulary.tokenize_data(kSample);
  text.resize(std::min<std::size_t>(text.size(), options.most_tokens));
  WeightLoss loss;
  std::size_t agree = 0;
  for (std::size_t at = 0; at + kLead < text.size(); at += kWindow) {
    std::size_t length = std::min(kWindow, text.size() - at);
    std::vector<Token> window(text.begin() + static_cast<std::ptrdiff_t>(at),
                              text.begin() + static_cast<std::ptrdiff_t>(at + length));
    if (auto done = compute(own.get(), window); !done) return std::unexpected(done.error());
    if (auto done = compute(theirs.get(), window); !done) return std::unexpected(done.error());
    for (std::size_t i = kLead; i < length; ++i) {
      const float* a = llama_get_logits_ith(own.get(), static_cast<std::int32_t>(i));
      const float* b = llama_get_logits_ith(theirs.get(), static_cast<std::int32_t>(i));
      loss.mean_kl += kl_divergence(a, b, vocabulary.size());
      auto count = static_cast<std::ptrdiff_t>(vocabulary.size());
      agree += std::max_element(a, a + count) - a == std::max_element(b, b + count) - b ? 1 : 0;
      loss.tokens += 1;
    }
  }
  if (loss.tokens == 0) return fail(ErrorCode::kDecodeFailed, "the model's vocabulary is empty");
  loss.mean_kl /= loss.tokens;
  loss.top1_agreement = static_cast<double>(agree) / loss.tokens;
  return loss;
}

}  // namespace sluice
