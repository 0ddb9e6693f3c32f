#include "models/openai_wire.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/json.h"
#include "schedule/model_output.h"

namespace sluice {
namespace {

using Members = std::vector<Value::Member>;

Value text(std::string_view value) { return Value::string(value); }
std::string json(const Value& value) {
  return to_json(value, {.indent = 0, .redact_secrets = false});
}

Value tool_call(const Value& call) {
  auto part = [&](std::string_view key) {
    const Value* found = call.find(key);
    return found ? *found : Value();
  };
  return Value::object(
      {{"id", part("id")},
       {"type", text("function")},
       {"function",
        Value::object({{"name", part("name")}, {"arguments", text(json(part("arguments")))}})}});
}

Value message_value(const ModelMessage& message) {
  Members members{{"role", text(message.role)}, {"content", text(message.content)}};
  if (message.tool_calls.is_array()) {
    std::vector<Value> calls;
    for (const Value& call : message.tool_calls.items()) calls.push_back(tool_call(call));
    members.emplace_back("tool_calls", Value::array(std::move(calls)));
  }
  if (!message.tool_call_id.empty()) {
    members.emplace_back("tool_call_id", text(message.tool_call_id));
  }
  return Value::object(std::move(members));
}

Value tool_value(const ModelTool& tool) {
  Value parameters =
      tool.parameters.is_object()
          ? tool.parameters
          : Value::object({{"type", text("object")}, {"properties", Value::object({})}});
  return Value::object({{"type", text("function")},
                        {"function", Value::object({{"name", text(tool.name)},
                                                    {"description", text(tool.description)},
                                                    {"parameters", parameters}})}});
}

// What OpenAI's strict mode demands: every object closed, every property required.
bool strict_ready(const Value& schema) {
  if (schema.is_array()) return std::ranges::all_of(schema.items(), strict_ready);
  if (!schema.is_object()) return true;
  if (const Value* properties = schema.find("properties"); properties && properties->is_object()) {
    const Value* more = schema.find("additionalProperties");
    const Value* required = schema.find("required");
    if (!more || !more->is_bool() || more->as_bool()) return false;
    if (!required || required->size() != properties->size()) return false;
  }
  return std::ranges::all_of(schema.members(),
                             [](const auto& member) { return strict_ready(member.second); });
}

Value response_format(const Value& schema) {
  return Value::object(
      {{"type", text("json_schema")},
       {"json_schema", Value::object({{"name", text("output")},
                                      {"strict", Value::boolean(strict_ready(schema))},
                                      {"schema", schema}})}});
}

void add_sampling(Members& body, const Sampling& sampling, bool chat, const std::string& url) {
  bool openai = url.starts_with("https://api.openai.com");  // it refuses the older name
  body.emplace_back(chat && openai ? "max_completion_tokens" : "max_tokens",
                    Value::integer(sampling.max_tokens));
  body.emplace_back("temperature", Value::number(sampling.temperature));
  if (sampling.top_p < 1) body.emplace_back("top_p", Value::number(sampling.top_p));
  if (sampling.seed) {
    body.emplace_back("seed", Value::big_integer(fmt::to_string(*sampling.seed)));
  }
  if (!sampling.stop.empty()) {
    std::vector<Value> stop;
    stop.reserve(sampling.stop.size());
    for (const std::string& one : sampling.stop) stop.push_back(text(one));
    body.emplace_back("stop", Value::array(std::move(stop)));
  }
  if (!sampling.logprobs) return;
  // Some servers (llama.cpp's) take 0 alternatives as no log probabilities at all.
  const std::uint32_t top = std::max(sampling.top_logprobs, 1U);
  if (chat) body.emplace_back("logprobs", Value::boolean(true));
  body.emplace_back(chat ? "top_logprobs" : "logprobs", Value::integer(top));
}

const Value* path(const Value& from, std::initializer_list<std::string_view> keys) {
  const Value* at = &from;
  for (std::string_view key : keys) {
    at = at->find(key);
    if (!at) return nullptr;
  }
  return at;
}

std::string_view string_at(const Value& from, std::initializer_list<std::string_view> keys) {
  const Value* found = path(from, keys);
  return found && found->is_string() ? found->as_string() : std::string_view();
}

std::uint64_t count_at(const Value& from, std::initializer_list<std::string_view> keys) {
  const Value* found = path(from, keys);
  return found && found->is_int() && found->as_int() > 0
             ? static_cast<std::uint64_t>(found->as_int())
             : 0;
}

// The words of the server, short, without the key.
std::string server_words(std::string_view body, const std::string& key) {
  std::string words;
  if (auto parsed = parse_json(body)) {
    for (auto keys : {std::initializer_list<std::string_view>{"error", "message"},
                      {"message"},
                      {"error"},
                      {"detail"}}) {
      if (words.empty()) words = string_at(*parsed, keys);
    }
    if (words.empty()) words = preview(*parsed, 300);
  } else {
    for (char c : body.substr(0, 300)) {
      words +=
          static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7E ? ' ' : c;
    }
  }
  if (words.size() > 500) words = preview(Value::string(words), 500);
  for (auto at = words.find(key); !key.empty() && at != std::string::npos; at = words.find(key)) {
    words.replace(at, key.size(), "[secret]");
  }
  return words;
}

std::unexpected<Error> broken(std::string_view what, std::string_view body) {
  return fail(ErrorCode::kModelFailed,
              fmt::format("the model's server sent {}: {}", what, server_words(body, "")));
}

bool about_length(std::string_view code, std::string_view words) {
  for (std::string_view sign : {"context_length", "context length", "maximum context",
                                "exceed_context", "exceeds the available context",
                                "too many tokens", "prompt is too long", "context window"}) {
    if (code.find(sign) != std::string_view::npos || words.find(sign) != std::string_view::npos) {
      return true;
    }
  }
  return false;
}

// The inside of the first ``` fence, or the text as it stands.
std::string_view without_fence(std::string_view reply) {
  auto open = reply.find("```");
  if (open == std::string_view::npos) return reply;
  auto start = reply.find('\n', open);
  if (start == std::string_view::npos) return reply;
  auto close = reply.find("```", start);
  if (close == std::string_view::npos) return reply;
  return reply.substr(start + 1, close - start - 1);
}

}  // namespace

Result<OpenAiCall> openai_call(const ModelRequest& request, const OpenAiOptions& options,
                               bool stream) {
  if (request.messages.empty() == request.prompt.empty()) {
    return fail(ErrorCode::kModelRefused,
                "a request has either messages or a prompt, and this one has both or none");
  }
  if (!request.regex.empty()) {
    return fail(ErrorCode::kModelRefused,
                "servers of this kind cannot enforce a regular expression; use an output schema "
                "with a `pattern`, or an embedded model");
  }
  bool chat = !request.messages.empty();
  Members body{{"model", text(options.model)}};
  if (chat) {
    std::vector<Value> messages;
    messages.reserve(request.messages.size());
    for (const ModelMessage& message : request.messages) messages.push_back(message_value(message));
    body.emplace_back("messages", Value::array(std::move(messages)));
  } else {
    std::string prompt;
    for (const PromptSegment& segment : request.prompt) {
      if (segment.pending) {
        return fail(ErrorCode::kModelRefused, "a part of the prompt is not there yet");
      }
      prompt += segment.text.text;
    }
    body.emplace_back("prompt", text(prompt));
  }
  add_sampling(body, request.sampling, chat, options.url);
  if (!request.tools.empty()) {
    std::vector<Value> tools;
    tools.reserve(request.tools.size());
    for (const ModelTool& tool : request.tools) tools.push_back(tool_value(tool));
    body.emplace_back("tools", Value::array(std::move(tools)));
  }
  if (request.output)
    body.emplace_back("response_format", response_format(request.output->source()));
  if (stream) {
    body.emplace_back("stream", Value::boolean(true));
    body.emplace_back("stream_options", Value::object({{"include_usage", Value::boolean(true)}}));
  }
  return OpenAiCall{.route = chat ? "/chat/completions" : "/completions",
                    .body = json(Value::object(std::move(body))),
                    .stream = stream};
}

OpenAiCall openai_embedding_call(const std::vector<std::string>& texts,
                                 const OpenAiOptions& options) {
  std::vector<Value> input;
  input.reserve(texts.size());
  for (const std::string& one : texts) input.push_back(text(one));
  return {.route = "/embeddings",
          .body = json(Value::object({{"model", text(options.model)},
                                      {"input", Value::array(std::move(input))},
                                      {"encoding_format", text("float")}}))};
}

Result<std::vector<std::vector<float>>> read_embeddings(std::string_view body, std::size_t count) {
  auto parsed = parse_json(body);
  const Value* data = parsed ? parsed->find("data") : nullptr;
  if (!data || !data->is_array() || data->size() != count) {
    return broken(fmt::format("something else than {} embeddings", count), body);
  }
  std::vector<std::vector<float>> out(count);
  for (std::size_t i = 0; i < count; ++i) {
    const Value& entry = data->items()[i];
    const Value* numbers = entry.find("embedding");
    const Value* index = entry.find("index");
    std::size_t at = index && index->is_int() ? static_cast<std::size_t>(index->as_int()) : i;
    if (!numbers || !numbers->is_array() || at >= count) return broken("a broken embedding", body);
    for (const Value& number : numbers->items()) {
      if (!number.is_number()) return broken("a broken embedding", body);
      out[at].push_back(static_cast<float>(number.as_double()));
    }
  }
  return out;
}

Error openai_error(long status, std::string_view body, const OpenAiOptions& options,
                   std::optional<std::int64_t> retry_after_ms) {
  std::string words = server_words(body, options.key);
  auto parsed = parse_json(body);
  std::string code;
  if (parsed) {
    code = std::string(string_at(*parsed, {"error", "code"})) + " " +
           std::string(string_at(*parsed, {"error", "type"}));
  }
  auto make = [&](ErrorCode error, std::string_view what) {
    Error out(error, fmt::format("{} answered {}: {}{}{}", options.url, status, what,
                                 words.empty() ? "" : ": ", words));
    return retry_after_ms ? out.with_retry_after_ms(*retry_after_ms) : out;
  };
  if (status == 401 || status == 403) {
    return make(ErrorCode::kModelAuth, options.key.empty()
                                           ? "it wants a key, and the model has none; set `key`"
                                           : "it did not accept the key");
  }
  if (status == 404) {
    return make(ErrorCode::kModelRefused,
                fmt::format("it has no such route, or no model \"{}\"; check `model`, and that "
                            "`url` ends as the server wants it (often /v1)",
                            options.model));
  }
  if (status == 408 || status == 504) return make(ErrorCode::kTimeout, "it took too long");
  if (status == 429) return make(ErrorCode::kRateLimited, "too many requests");
  if ((status == 400 || status == 413 || status == 422) && about_length(code, words)) {
    return make(ErrorCode::kPromptTooLong, "the prompt does not fit the model's context");
  }
  if (status >= 500) return make(ErrorCode::kModelFailed, "the server failed");
  if (status >= 300 && status < 400) {
    return make(ErrorCode::kModelRefused, "it sends us elsewhere; set `url` to the final address");
  }
  return make(ErrorCode::kModelRefused, "it refused the request");
}

void ReplyReader::usage(const Value& body) {
  const Value* found = body.find("usage");
  if (!found || !found->is_object()) return;
  usage_.prompt_tokens = count_at(*found, {"prompt_tokens"});
  usage_.cached_tokens = count_at(*found, {"prompt_tokens_details", "cached_tokens"});
  usage_.completion_tokens = count_at(*found, {"completion_tokens"});
}

// Stream deltas name the call they continue by its index; a whole reply lists the calls.
void ReplyReader::calls(const Value& list, bool whole) {
  constexpr std::size_t kMostCalls = 256;
  for (const Value& entry : list.items()) {
    std::size_t at = whole ? calls_.size() : count_at(entry, {"index"});
    if (at >= kMostCalls) return;
    if (calls_.size() <= at) calls_.resize(at + 1);
    Call& call = calls_[at];
    if (auto id = string_at(entry, {"id"}); !id.empty()) call.id = id;
    call.name += string_at(entry, {"function", "name"});
    const Value* arguments = path(entry, {"function", "arguments"});
    if (arguments)
      call.arguments += arguments->is_string() ? arguments->as_string() : json(*arguments);
  }
}

// The older form, of /completions: lists side by side. The first token of a text may have null.
void ReplyReader::listed_logprobs(const Value& choice) {
  const Value* numbers = path(choice, {"logprobs", "token_logprobs"});
  const Value* tokens = path(choice, {"logprobs", "tokens"});
  if (!numbers || !numbers->is_array()) return;
  for (std::size_t i = 0; i < numbers->items().size(); ++i) {
    const Value& number = numbers->items()[i];
    if (!number.is_number()) continue;
    const bool named = tokens && tokens->is_array() && i < tokens->items().size() &&
                       tokens->items()[i].is_string();
    logprobs_.push_back({.token = named ? std::string(tokens->items()[i].as_string()) : "",
                         .logprob = number.as_double()});
  }
}

void ReplyReader::logprobs(const Value& choice) {
  const Value* content = path(choice, {"logprobs", "content"});
  if (!content) listed_logprobs(choice);
  if (!content || !content->is_array()) return;
  for (const Value& entry : content->items()) {
    // Minus infinity is null in JSON.
    constexpr double kImpossible = -1000;
    auto number = [](const Value& from) {
      const Value* found = from.find("logprob");
      return found && found->is_number() ? found->as_double() : kImpossible;
    };
    TokenLogprob out{.token = std::string(string_at(entry, {"token"})), .logprob = number(entry)};
    if (const Value* top = entry.find("top_logprobs"); top && top->is_array()) {
      for (const Value& other : top->items()) {
        out.top.emplace_back(string_at(other, {"token"}), number(other));
      }
    }
    logprobs_.push_back(std::move(out));
  }
}

Result<void> ReplyReader::choice(const Value& choice, const Value& message) {
  text_ += string_at(message, {"content"});
  text_ += string_at(choice, {"text"});  // completions
  refusal_ += string_at(message, {"refusal"});
  if (auto finish = string_at(choice, {"finish_reason"}); !finish.empty()) finish_ = finish;
  logprobs(choice);
  return {};
}

Result<std::string> ReplyReader::chunk(std::string_view data) {
  if (data == "[DONE]") {
    done_ = true;
    return std::string();
  }
  auto parsed = parse_json(data);
  if (!parsed) return broken("a broken stream event", data);
  if (const Value* error = parsed->find("error"); error && !error->is_null()) {
    return broken("an error in the middle of its answer", data);
  }
  usage(*parsed);
  std::size_t before = text_.size();
  const Value* choices = parsed->find("choices");
  if (choices && choices->is_array() && choices->size() > 0) {
    const Value& first = choices->items()[0];
    const Value* delta = first.find("delta");
    if (auto read = choice(first, delta ? *delta : Value()); !read) {
      return std::unexpected(read.error());
    }
    const Value* list = delta ? delta->find("tool_calls") : nullptr;
    if (list && list->is_array()) calls(*list, false);
    if (!finish_.empty()) done_ = true;  // some servers send no [DONE]
  }
  return text_.substr(before);
}

Result<void> ReplyReader::whole(std::string_view body) {
  auto parsed = parse_json(body);
  if (!parsed) return broken("an answer that is not JSON; is `url` the base of the API?", body);
  const Value* choices = parsed->find("choices");
  if (!choices || !choices->is_array() || choices->size() == 0) {
    return broken("an answer without choices", body);
  }
  usage(*parsed);
  const Value& first = choices->items()[0];
  const Value* message = first.find("message");
  if (auto read = choice(first, message ? *message : Value()); !read) return read;
  const Value* list = message ? message->find("tool_calls") : nullptr;
  if (list && list->is_array()) calls(*list, true);
  done_ = true;
  return {};
}

Result<void> ReplyReader::read_output(const ModelRequest& request, ModelReply& reply) const {
  auto parsed = parse_json(reply.text);
  if (!parsed) {
    if (reply.finish == FinishReason::kLength) {
      return fail(ErrorCode::kOutputTruncated,
                  fmt::format("the limit of {} tokens cut the structured output; raise max_tokens",
                              request.sampling.max_tokens));
    }
    parsed = parse_json(without_fence(reply.text));
  }
  if (!parsed) {
    return std::unexpected(
        Error(ErrorCode::kOutputInvalid,
              fmt::format("the model's output is not JSON; its server may not know "
                          "response_format: {}",
                          preview(Value::string(reply.text))))
            .with_cause(parsed.error()));
  }
  if (auto fits = check_model_output(*request.output, *parsed); !fits) return fits;
  reply.json = *parsed;
  return {};
}

Result<ModelReply> ReplyReader::finish(const ModelRequest& request) {
  if (!refusal_.empty()) {
    return fail(ErrorCode::kModelRefused, "the model refused: " + refusal_);
  }
  ModelReply reply;
  reply.text = std::move(text_);
  reply.usage = usage_;
  reply.logprobs = std::move(logprobs_);
  reply.finish = finish_ == "length" ? FinishReason::kLength : FinishReason::kStop;
  if (finish_ == "content_filter") {
    return fail(ErrorCode::kModelRefused, "the server's content filter cut the answer");
  }
  std::vector<Value> calls;
  for (const Call& call : calls_) {
    auto arguments = parse_json(call.arguments.empty() ? "{}" : call.arguments);
    if (!arguments || !arguments->is_object()) {
      return fail(ErrorCode::kOutputInvalid,
                  fmt::format("the model called {} with arguments that are no JSON object: {}",
                              call.name, preview(Value::string(call.arguments))));
    }
    calls.push_back(Value::object(
        {{"id", text(call.id)}, {"name", text(call.name)}, {"arguments", *arguments}}));
  }
  if (!calls.empty()) {
    reply.tool_calls = Value::array(std::move(calls));
    reply.finish = FinishReason::kToolCalls;
  } else if (request.output) {
    if (auto read = read_output(request, reply); !read) return std::unexpected(read.error());
  }
  return reply;
}

}  // namespace sluice
