// The JSON of the OpenAI routes: requests out, replies, stream chunks and errors in. Pure; any
// thread (a ReplyReader belongs to one request).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "data/value.h"
#include "models/openai_client.h"
#include "schedule/model_request.h"

namespace sluice {

struct OpenAiCall {
  std::string route;  // "/chat/completions"
  std::string body;
  bool stream = false;
};

// kModelRefused for what these routes cannot express (a regular expression, pending segments).
Result<OpenAiCall> openai_call(const ModelRequest& request, const OpenAiOptions& options,
                               bool stream);
OpenAiCall openai_embedding_call(const std::vector<std::string>& texts,
                                 const OpenAiOptions& options);
Result<std::vector<std::vector<float>>> read_embeddings(std::string_view body, std::size_t count);

// What an error status means. `body` may be anything; the key never stands in the message.
Error openai_error(long status, std::string_view body, const OpenAiOptions& options,
                   std::optional<std::int64_t> retry_after_ms);

// Collects one reply, whole or from stream chunks.
class ReplyReader {
 public:
  // The data of one stream event; returns the new text. kModelFailed when it is not what it should
  // be or reports an error.
  Result<std::string> chunk(std::string_view data);
  Result<void> whole(std::string_view body);
  bool done() const { return done_; }  // the stream has ended as it should
  // kOutputInvalid, kOutputTruncated; a reply that is not JSON is tried without its code fence.
  Result<ModelReply> finish(const ModelRequest& request);

 private:
  struct Call {
    std::string id;
    std::string name;
    std::string arguments;
  };
  Result<void> choice(const Value& choice, const Value& message);
  void calls(const Value& list, bool whole);
  void logprobs(const Value& choice);
  void listed_logprobs(const Value& choice);
  void usage(const Value& body);
  Result<void> read_output(const ModelRequest& request, ModelReply& reply) const;

  std::string text_;
  std::string refusal_;
  std::vector<Call> calls_;
  std::vector<TokenLogprob> logprobs_;
  ModelUsage usage_;
  std::string finish_;
  bool done_ = false;
};

}  // namespace sluice
