#include "serve/openai_reply.h"

#include <bit>
#include <cstring>

#include "data/json.h"
#include "tools/base64.h"

namespace sluice {
namespace {

using Members = std::vector<Value::Member>;

Value text_value(std::string_view value) { return Value::string(value); }
Value count_value(std::uint64_t value) { return Value::integer(static_cast<std::int64_t>(value)); }
std::string json_text(const Value& value) {
  return to_json(value, {.indent = 0, .redact_secrets = false});
}

std::string_view finish_word(FinishReason finish) {
  switch (finish) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kToolCalls:
      return "tool_calls";
  }
  return "stop";
}

// [{id, name, arguments}] as OpenAI has it; a stream's deltas carry an index too.
Value tool_calls_value(const Value& calls, bool stream) {
  std::vector<Value> out;
  for (const Value& call : calls.items()) {
    Members members;
    if (stream) members.emplace_back("index", count_value(out.size()));
    const Value* id = call.find("id");
    const Value* name = call.find("name");
    const Value* arguments = call.find("arguments");
    members.emplace_back("id", id != nullptr ? *id : text_value(""));
    members.emplace_back("type", text_value("function"));
    members.emplace_back(
        "function",
        Value::object(
            {{"name", name != nullptr ? *name : text_value("")},
             {"arguments", text_value(arguments != nullptr ? json_text(*arguments) : "{}")}}));
    out.push_back(Value::object(std::move(members)));
  }
  return Value::array(std::move(out));
}

// The bytes of a token's text; null where it is a part of a character, whose bytes are not known.
Value token_bytes(std::string_view token) {
  if (token.find("\xEF\xBF\xBD") != std::string_view::npos) return {};
  std::vector<Value> bytes;
  bytes.reserve(token.size());
  for (char c : token) bytes.push_back(count_value(static_cast<unsigned char>(c)));
  return Value::array(std::move(bytes));
}

Value chat_logprobs(const ModelReply& reply) {
  auto entry = [](std::string_view token, double logprob) {
    return Members{{"token", text_value(token)},
                   {"logprob", Value::number(logprob)},
                   {"bytes", token_bytes(token)}};
  };
  std::vector<Value> content;
  for (const TokenLogprob& one : reply.logprobs) {
    std::vector<Value> top;
    for (const auto& [token, logprob] : one.top) {
      top.push_back(Value::object(entry(token, logprob)));
    }
    Members members = entry(one.token, one.logprob);
    members.emplace_back("top_logprobs", Value::array(std::move(top)));
    content.push_back(Value::object(std::move(members)));
  }
  return Value::object({{"content", Value::array(std::move(content))}, {"refusal", Value()}});
}

Value completion_logprobs(const ModelReply& reply) {
  std::vector<Value> tokens;
  std::vector<Value> logprobs;
  std::vector<Value> tops;
  std::vector<Value> offsets;
  std::size_t offset = 0;
  for (const TokenLogprob& one : reply.logprobs) {
    tokens.push_back(text_value(one.token));
    logprobs.push_back(Value::number(one.logprob));
    Members top;
    for (const auto& [token, logprob] : one.top) top.emplace_back(token, Value::number(logprob));
    tops.push_back(Value::object(std::move(top)));
    offsets.push_back(count_value(offset));
    offset += one.token.size();
  }
  return Value::object({{"tokens", Value::array(std::move(tokens))},
                        {"token_logprobs", Value::array(std::move(logprobs))},
                        {"top_logprobs", Value::array(std::move(tops))},
                        {"text_offset", Value::array(std::move(offsets))}});
}

}  // namespace

ReplyWriter::ReplyWriter(const GenerationCall& call, ReplyNames names)
    : chat_(call.chat),
      logprobs_(call.logprobs),
      include_usage_(call.include_usage),
      choices_per_prompt_(call.choices_per_prompt),
      echoes_(call.echoes),
      names_(std::move(names)) {}

std::vector<Value::Member> ReplyWriter::head(std::string_view object) const {
  return {{"id", text_value(names_.id)},
          {"object", text_value(object)},
          {"created", Value::integer(names_.created_s)},
          {"model", text_value(names_.model)},
          {"system_fingerprint", text_value(names_.fingerprint)}};
}

Value ReplyWriter::logprobs_value(std::size_t choice, const ModelReply& reply) const {
  (void)choice;
  if (!logprobs_) return {};
  return chat_ ? chat_logprobs(reply) : completion_logprobs(reply);
}

Value ReplyWriter::usage_value(std::span<const ModelReply> replies) const {
  std::uint64_t prompt = 0;
  std::uint64_t cached = 0;
  std::uint64_t completion = 0;
  for (std::size_t i = 0; i < replies.size(); ++i) {
    completion += replies[i].usage.completion_tokens;
    if (i % choices_per_prompt_ != 0) continue;  // a prompt counts once
    prompt += replies[i].usage.prompt_tokens;
    cached += replies[i].usage.cached_tokens;
  }
  const Value zero = Value::integer(0);
  return Value::object(
      {{"prompt_tokens", count_value(prompt)},
       {"completion_tokens", count_value(completion)},
       {"total_tokens", count_value(prompt + completion)},
       {"prompt_tokens_details",
        Value::object({{"cached_tokens", count_value(cached)}, {"audio_tokens", zero}})},
       {"completion_tokens_details", Value::object({{"reasoning_tokens", zero},
                                                    {"audio_tokens", zero},
                                                    {"accepted_prediction_tokens", zero},
                                                    {"rejected_prediction_tokens", zero}})}});
}

Value ReplyWriter::whole_choice(std::size_t index, const ModelReply& reply) const {
  Members choice{{"index", count_value(index)}};
  if (chat_) {
    const bool called = reply.tool_calls.is_array();
    Members message{{"role", text_value("assistant")},
                    {"content", called ? Value() : text_value(reply.text)},
                    {"refusal", Value()}};
    if (called) message.emplace_back("tool_calls", tool_calls_value(reply.tool_calls, false));
    choice.emplace_back("message", Value::object(std::move(message)));
  } else {
    choice.emplace_back("text", text_value((echoes_.empty() ? "" : echoes_[index]) + reply.text));
  }
  choice.emplace_back("logprobs", logprobs_value(index, reply));
  choice.emplace_back("finish_reason", text_value(finish_word(reply.finish)));
  return Value::object(std::move(choice));
}

std::string ReplyWriter::whole(std::span<const ModelReply> replies) const {
  Members body = head(chat_ ? "chat.completion" : "text_completion");
  std::vector<Value> choices;
  choices.reserve(replies.size());
  for (const ModelReply& reply : replies) choices.push_back(whole_choice(choices.size(), reply));
  body.emplace_back("choices", Value::array(std::move(choices)));
  body.emplace_back("usage", usage_value(replies));
  return json_text(Value::object(std::move(body)));
}

Value ReplyWriter::chunk(std::vector<Value> choices, const Value& usage) const {
  Members body = head(chat_ ? "chat.completion.chunk" : "text_completion");
  body.emplace_back("choices", Value::array(std::move(choices)));
  if (include_usage_) body.emplace_back("usage", usage);
  return Value::object(std::move(body));
}

std::string ReplyWriter::choice_chunk(std::size_t choice, Value delta, const Value& logprobs,
                                      const Value& finish) const {
  Members members{{"index", count_value(choice)}};
  members.emplace_back(chat_ ? "delta" : "text", std::move(delta));
  members.emplace_back("logprobs", logprobs);
  members.emplace_back("finish_reason", finish);
  return json_text(chunk({Value::object(std::move(members))}, Value()));
}

std::string ReplyWriter::begin(std::size_t choice) const {
  if (!chat_) return echoes_.empty() ? std::string() : text(choice, echoes_[choice]);
  return choice_chunk(
      choice,
      Value::object(
          {{"role", text_value("assistant")}, {"content", text_value("")}, {"refusal", Value()}}),
      Value(), Value());
}

std::string ReplyWriter::text(std::size_t choice, std::string_view text) const {
  Value delta = chat_ ? Value::object({{"content", text_value(text)}}) : text_value(text);
  return choice_chunk(choice, std::move(delta), Value(), Value());
}

std::string ReplyWriter::late(std::size_t choice, const ModelReply& reply) const {
  const bool called = chat_ && reply.tool_calls.is_array();
  if (!called && !logprobs_) return {};
  Value delta = chat_ ? Value::object({}) : text_value("");
  if (called) {
    delta = Value::object({{"tool_calls", tool_calls_value(reply.tool_calls, true)}});
  } else if (chat_) {
    delta = Value::object({{"content", text_value("")}});
  }
  return choice_chunk(choice, std::move(delta), logprobs_value(choice, reply), Value());
}

std::string ReplyWriter::finish(std::size_t choice, const ModelReply& reply) const {
  return choice_chunk(choice, chat_ ? Value::object({}) : text_value(""), Value(),
                      text_value(finish_word(reply.finish)));
}

std::string ReplyWriter::usage(std::span<const ModelReply> replies) const {
  return include_usage_ ? json_text(chunk({}, usage_value(replies))) : std::string();
}

std::string base64_of_floats(std::span<const float> numbers) {
  static_assert(std::endian::native == std::endian::little, "clients read little endian");
  std::string bytes(numbers.size_bytes(), '\0');
  if (!numbers.empty()) std::memcpy(bytes.data(), numbers.data(), numbers.size_bytes());
  return to_base64(bytes);
}

std::string embedding_reply(const EmbeddingVectors& embeddings, std::string_view model) {
  std::vector<Value> data;
  data.reserve(embeddings.vectors.size());
  for (const std::vector<float>& vector : embeddings.vectors) {
    Value numbers;
    if (embeddings.base64) {
      numbers = text_value(base64_of_floats(vector));
    } else {
      std::vector<Value> list;
      list.reserve(vector.size());
      for (float number : vector) list.push_back(Value::number(static_cast<double>(number)));
      numbers = Value::array(std::move(list));
    }
    data.push_back(Value::object({{"object", text_value("embedding")},
                                  {"index", count_value(data.size())},
                                  {"embedding", std::move(numbers)}}));
  }
  return json_text(Value::object(
      {{"object", text_value("list")},
       {"data", Value::array(std::move(data))},
       {"model", text_value(model)},
       {"usage", Value::object({{"prompt_tokens", count_value(embeddings.tokens)},
                                {"total_tokens", count_value(embeddings.tokens)}})}}));
}

}  // namespace sluice
