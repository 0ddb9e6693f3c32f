// The engine against the plainest loop over libllama: one sequence, greedy, no sharing.
#include <gtest/gtest.h>
#include <llama.h>

#include <algorithm>
#include <cstdlib>
#include <future>

#include "engine/engine.h"
#include "engine/model_file.h"

namespace sluice {
namespace {

std::string plain_greedy(const std::string& prompt, int tokens) {
  auto model = load_model(std::getenv("SLUICE_TEST_MODEL"));
  const llama_vocab* vocab = llama_model_get_vocab(model->get());
  std::vector<llama_token> input(prompt.size() + 8);
  int count = llama_tokenize(vocab, prompt.data(), static_cast<int>(prompt.size()), input.data(),
                             static_cast<int>(input.size()), false, true);
  input.resize(static_cast<std::size_t>(count));
  llama_context_params params = llama_context_default_params();
  params.n_ctx = 1024;
  params.n_threads = params.n_threads_batch = 2;
  ContextHandle context(llama_init_from_model(model->get(), params));
  std::string out;
  llama_batch batch = llama_batch_get_one(input.data(), count);
  for (int i = 0; i < tokens; ++i) {
    EXPECT_EQ(llama_decode(context.get(), batch), 0);
    const float* logits = llama_get_logits_ith(context.get(), -1);
    auto best = std::max_element(logits, logits + llama_vocab_n_tokens(vocab)) - logits;
    static llama_token token;
    token = static_cast<llama_token>(best);
    if (llama_vocab_is_eog(vocab, token)) break;
    char piece[64];
    int length = llama_token_to_piece(vocab, token, piece, sizeof piece, 0, false);
    out.append(piece, static_cast<std::size_t>(length));
    batch = llama_batch_get_one(&token, 1);
  }
  return out;
}

TEST(PlainDecodeTest, TheDeterministicLaneGivesTheTextOfThePlainLoop) {
  std::string prompt =
      "<|im_start|>system\nYou answer briefly.<|im_end|>\n<|im_start|>user\nName three colours."
      "<|im_end|>\n<|im_start|>assistant\n";
  auto engine = open_engine({.file = std::getenv("SLUICE_TEST_MODEL"), .threads = 2});
  ASSERT_TRUE(engine) << engine.error().to_string();
  ModelRequest request;
  request.messages = {{.role = "system", .content = "You answer briefly."},
                      {.role = "user", .content = "Name three colours."}};
  request.sampling.max_tokens = 24;
  request.deterministic = true;
  std::promise<Result<ModelReply>> done;
  (*engine)->submit(request, {.on_end = [&](auto reply) { done.set_value(std::move(reply)); }});
  auto reply = done.get_future().get();
  ASSERT_TRUE(reply) << reply.error().to_string();
  EXPECT_EQ(reply->text, plain_greedy(prompt, 24));
  EXPECT_FALSE(reply->text.empty());
}

}  // namespace
}  // namespace sluice
