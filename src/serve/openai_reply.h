// Model replies as JSON of the OpenAI routes, whole and as stream chunks. Pure; a ReplyWriter
// belongs to one call, its const methods may be called from any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/value.h"
#include "schedule/model_request.h"
#include "serve/generation_call.h"

namespace sluice {

struct ReplyNames {
  std::string id;           // "chatcmpl-..."
  std::string model;        // as it is listed
  std::string fingerprint;  // changes when the same request may give another text
  std::int64_t created_s = 0;
};

class ReplyWriter {
 public:
  ReplyWriter(const GenerationCall& call, ReplyNames names);

  // The whole reply; one ModelReply for each choice.
  std::string whole(std::span<const ModelReply> replies) const;

  // Events of a stream, without framing. `begin` is empty where the route has none.
  std::string begin(std::size_t choice) const;
  std::string text(std::size_t choice, std::string_view text) const;
  // What is known only at the end: tool calls as one delta, log probabilities. May be empty.
  std::string late(std::size_t choice, const ModelReply& reply) const;
  std::string finish(std::size_t choice, const ModelReply& reply) const;
  std::string usage(std::span<const ModelReply> replies) const;

 private:
  Value chunk(std::vector<Value> choices, const Value& usage) const;
  std::string choice_chunk(std::size_t choice, Value delta, const Value& logprobs,
                           const Value& finish) const;
  Value whole_choice(std::size_t index, const ModelReply& reply) const;
  Value logprobs_value(std::size_t choice, const ModelReply& reply) const;
  Value usage_value(std::span<const ModelReply> replies) const;
  std::vector<Value::Member> head(std::string_view object) const;

  bool chat_;
  bool logprobs_;
  bool include_usage_;
  std::size_t choices_per_prompt_;
  std::vector<std::string> echoes_;
  ReplyNames names_;
};

struct EmbeddingVectors {
  std::vector<std::vector<float>> vectors;
  std::uint64_t tokens = 0;
  bool base64 = false;
};
std::string embedding_reply(const EmbeddingVectors& embeddings, std::string_view model);
std::string base64_of_floats(std::span<const float> numbers);

}  // namespace sluice
