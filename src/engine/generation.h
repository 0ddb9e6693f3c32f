// One request while it generates: the prompt as tokens, the grammar, the sampler, the text so far
// and the reply at the end. Knows nothing of the llama context. Owned by a lane; one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/grammar.h"
#include "engine/sampler.h"
#include "engine/token_text.h"
#include "engine/vocabulary.h"
#include "schedule/model_instance.h"
#include "schedule/snapshot.h"

namespace sluice {

// A request that is ready to be scheduled.
struct PreparedRequest {
  RequestView view;  // id, sizes and hints as the scheduler sees them
  std::vector<Token> tokens;
  ModelCallbacks callbacks;
  Sampling sampling;  // max_tokens already fits the context
  std::uint64_t seed = 0;
  std::optional<Grammar> grammar;
  SchemaPtr output;
  bool tools = false;
  std::size_t call_number = 0;
  std::int64_t timeout_ms = 0;
  std::optional<SteadyNs> ends_at_ns;  // of the timeout
  bool comes_back = false;  // the program returns with a longer prompt: keep what was generated too
  std::string next_tool;    // what the program does until then
  bool jump_forward = true;  // append what the grammar forces without asking the model
};

class Generation {
 public:
  explicit Generation(PreparedRequest request);

  RequestView& view() { return request_.view; }
  const RequestView& view() const { return request_.view; }
  const PreparedRequest& request() const { return request_; }
  // What its sequence holds before it decodes: the prompt with the text that a grammar forces at
  // once, and after a preemption also what it had generated.
  std::span<const Token> prompt() const { return request_.tokens; }
  // What the next decode step feeds, at least one token (view().next_tokens); only the logits of
  // the last are needed. Empty before the first advance().
  std::span<const Token> next_tokens() const { return next_tokens_; }
  // Its cells are taken from it: next time everything so far is its prompt. view() is changed to a
  // waiting one; what is in next_tokens() is then the end of prompt().
  void preempt();

  // Chooses the next token from the logits, appends what the grammar forces after it, and streams
  // the text. True when that was the last.
  bool advance(std::span<const float> logits, const Vocabulary& vocabulary);
  // Tokens that were appended without asking the model, since the last call.
  std::uint32_t take_forced_count() { return std::exchange(forced_count_, 0); }
  // What its grammar's masks have taken, since the last call.
  Grammar::MaskWork take_mask_work() {
    return request_.grammar ? request_.grammar->take_mask_work() : Grammar::MaskWork{};
  }
  void set_cached_tokens(std::uint32_t tokens) { cached_tokens_ = tokens; }
  // After the last token.
  Result<ModelReply> reply();
  void end(Result<ModelReply> result);

 private:
  void begin_with_forced();
  Token choose(std::span<const float> logits, const Vocabulary& vocabulary);
  bool append_forced(const Vocabulary& vocabulary);
  void write(Token token, TokenLogprob&& logprob, const Vocabulary& vocabulary);
  void write_forced(Token token, const Vocabulary& vocabulary);
  bool at_end();
  Result<void> read_json(ModelReply& reply);
  void show(const std::string& text);

  PreparedRequest request_;
  Sampler sampler_;
  TokenText text_;
  std::vector<TokenLogprob> logprobs_;
  std::vector<Token> next_tokens_;
  std::vector<Token> generated_;  // since the prompt; the last next_tokens_.size() are not fed yet
  std::size_t own_prompt_ = 0;    // of request_.tokens: what the caller sent
  std::vector<Token> begun_;      // forced ones behind it, until their text is shown
  std::uint32_t forced_count_ = 0;
  std::uint32_t cached_tokens_ = 0;
  FinishReason finish_ = FinishReason::kStop;
  bool stuck_ = false;  // the grammar allowed no token
};

}  // namespace sluice
