// One request while it generates: the prompt as tokens, the grammar, the sampler, the text so far
// and the reply at the end. Knows nothing of the llama context. Owned by a lane; one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
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
};

class Generation {
 public:
  explicit Generation(PreparedRequest request);

  RequestView& view() { return request_.view; }
  const RequestView& view() const { return request_.view; }
  const PreparedRequest& request() const { return request_; }
  std::span<const Token> prompt() const { return request_.tokens; }
  Token last_token() const { return last_token_; }

  // Chooses the next token from the logits and streams its text. True when it was the last.
  bool advance(std::span<const float> logits, const Vocabulary& vocabulary);
  void set_cached_tokens(std::uint32_t tokens) { cached_tokens_ = tokens; }
  // After the last token.
  Result<ModelReply> reply();
  void end(Result<ModelReply> result);

 private:
  Result<void> read_json(ModelReply& reply);
  void show(const std::string& text);

  PreparedRequest request_;
  Sampler sampler_;
  TokenText text_;
  std::vector<TokenLogprob> logprobs_;
  Token last_token_ = -1;
  std::uint32_t cached_tokens_ = 0;
  FinishReason finish_ = FinishReason::kStop;
  bool stuck_ = false;  // the grammar allowed no token
};

}  // namespace sluice
