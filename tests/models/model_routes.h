// The OpenAI routes over any ModelInstance, so that a real model answers through real HTTP.
#pragma once

#include <chrono>
#include <future>
#include <string>

#include "data/json.h"
#include "schedule/model_instance.h"
#include "tests/models/loopback_server.h"

namespace sluice::test {

class ModelRoutes {
 public:
  explicit ModelRoutes(ModelInstance& model) : model_(model) {}

  void operator()(Exchange& exchange) const {
    auto body = parse_json(exchange.request.body());
    if (!body) return exchange.reply(400, R"({"error":{"message":"the body is not JSON"}})");
    std::string target(exchange.request.target());
    if (target == "/v1/embeddings") return embeddings(exchange, *body);
    if (target == "/v1/chat/completions") return complete(exchange, *body, true);
    if (target == "/v1/completions") return complete(exchange, *body, false);
    exchange.reply(404, R"({"error":{"message":"no such route"}})");
  }

 private:
  static Value text(std::string_view value) { return Value::string(value); }
  static std::string string_of(const Value* value) {
    return value && value->is_string() ? std::string(value->as_string()) : "";
  }

  static Value calls_from_wire(const Value& list) {
    std::vector<Value> out;
    for (const Value& call : list.items()) {
      const Value& function = *call.find("function");
      out.push_back(
          Value::object({{"id", *call.find("id")},
                         {"name", *function.find("name")},
                         {"arguments", *parse_json(string_of(function.find("arguments")))}}));
    }
    return Value::array(std::move(out));
  }

  static Value calls_to_wire(const Value& list) {
    std::vector<Value> out;
    for (const Value& call : list.items()) {
      auto function = Value::object(
          {{"name", *call.find("name")}, {"arguments", text(to_json(*call.find("arguments")))}});
      out.push_back(Value::object({{"index", Value::integer(static_cast<std::int64_t>(out.size()))},
                                   {"id", *call.find("id")},
                                   {"type", text("function")},
                                   {"function", function}}));
    }
    return Value::array(std::move(out));
  }

  static ModelRequest read(const Value& body, bool chat) {
    ModelRequest request;
    if (chat) {
      for (const Value& message : body.find("messages")->items()) {
        ModelMessage next{.role = string_of(message.find("role")),
                          .content = string_of(message.find("content"))};
        next.tool_call_id = string_of(message.find("tool_call_id"));
        if (auto* calls = message.find("tool_calls")) next.tool_calls = calls_from_wire(*calls);
        request.messages.push_back(std::move(next));
      }
    } else {
      request.prompt.push_back({.text = {.text = string_of(body.find("prompt"))}});
    }
    if (auto* tools = body.find("tools")) {
      for (const Value& tool : tools->items()) {
        const Value& function = *tool.find("function");
        request.tools.push_back({.name = string_of(function.find("name")),
                                 .description = string_of(function.find("description")),
                                 .parameters = *function.find("parameters")});
      }
    }
    Sampling& sampling = request.sampling;
    if (auto* n = body.find("max_tokens")) {
      sampling.max_tokens = static_cast<std::uint32_t>(n->as_int());
    }
    if (auto* n = body.find("temperature")) sampling.temperature = n->as_double();
    if (auto* n = body.find("top_p")) sampling.top_p = n->as_double();
    if (auto* n = body.find("seed")) sampling.seed = static_cast<std::uint64_t>(n->as_int());
    if (auto* list = body.find("stop")) {
      for (const Value& stop : list->items()) sampling.stop.push_back(string_of(&stop));
    }
    if (auto* n = body.find("logprobs")) sampling.logprobs = n->is_bool() && n->as_bool();
    if (auto* n = body.find("top_logprobs")) {
      sampling.top_logprobs = static_cast<std::uint32_t>(n->as_int());
    }
    if (auto* format = body.find("response_format")) {
      const Value& schema = *format->find("json_schema")->find("schema");
      request.output = Schema::compile(schema, {.mode = SchemaMode::kLenient}).schema;
    }
    return request;
  }

  static void reply_error(Exchange& exchange, const Error& error) {
    int status = 500;
    std::string code = "server_error";
    if (error.code() == ErrorCode::kPromptTooLong) {
      status = 400;
      code = "context_length_exceeded";
    } else if (error.code() == ErrorCode::kModelRefused) {
      status = 400;
      code = "invalid_request_error";
    } else if (error.code() == ErrorCode::kModelOverloaded) {
      status = 429;
    }
    auto body = Value::object(
        {{"error", Value::object({{"message", text(error.message())}, {"code", text(code)}})}});
    exchange.reply(status, to_json(body));
  }

  static Value usage(const ModelUsage& usage) {
    auto number = [](std::uint64_t n) { return Value::integer(static_cast<std::int64_t>(n)); };
    return Value::object({{"prompt_tokens", number(usage.prompt_tokens)},
                          {"completion_tokens", number(usage.completion_tokens)},
                          {"prompt_tokens_details",
                           Value::object({{"cached_tokens", number(usage.cached_tokens)}})}});
  }

  static Value logprobs(const ModelReply& reply) {
    std::vector<Value> content;
    for (const TokenLogprob& entry : reply.logprobs) {
      std::vector<Value> top;
      for (const auto& [token, logprob] : entry.top) {
        top.push_back(Value::object({{"token", text(token)}, {"logprob", Value::number(logprob)}}));
      }
      content.push_back(Value::object({{"token", text(entry.token)},
                                       {"logprob", Value::number(entry.logprob)},
                                       {"top_logprobs", Value::array(std::move(top))}}));
    }
    return Value::object({{"content", Value::array(std::move(content))}});
  }

  void complete(Exchange& exchange, const Value& body, bool chat) const {
    const Value* stream_flag = body.find("stream");
    bool stream = stream_flag && stream_flag->as_bool();
    std::mutex mutex;  // the socket: this thread and the model's
    std::string pieces;
    bool started = false;
    auto chunk = [&](Value delta, Value finish, Value usage) {
      if (!std::exchange(started, true)) exchange.start_stream();
      Value choice = Value::object(
          {{"index", Value::integer(0)}, {"delta", delta}, {"finish_reason", finish}});
      if (!chat) {
        choice = Value::object({{"text", delta.find("content") ? *delta.find("content") : text("")},
                                {"finish_reason", finish}});
      }
      exchange.event(to_json(
          Value::object({{"choices", Value::array({choice})}, {"usage", std::move(usage)}})));
    };
    std::promise<Result<ModelReply>> done;
    auto future = done.get_future();
    RequestId id = model_.submit(
        read(body, chat),
        {.on_text =
             [&](std::string_view piece) {
               std::lock_guard lock(mutex);
               pieces += piece;
               if (stream) chunk(Value::object({{"content", text(piece)}}), Value(), Value());
             },
         .on_end = [&](Result<ModelReply> reply) { done.set_value(std::move(reply)); }});
    while (future.wait_for(std::chrono::milliseconds(20)) == std::future_status::timeout) {
      std::lock_guard lock(mutex);
      if (exchange.peer_gone()) model_.cancel(id);
    }
    Result<ModelReply> reply = future.get();
    std::string finish = "stop";
    if (!reply && reply.error().code() == ErrorCode::kOutputTruncated) {
      reply = ModelReply{.text = pieces};
      finish = "length";
    }
    if (!reply) return started ? exchange.hang_up() : reply_error(exchange, reply.error());
    if (reply->finish == FinishReason::kLength) finish = "length";
    if (reply->finish == FinishReason::kToolCalls) finish = "tool_calls";
    std::vector<Value::Member> message{{"role", text("assistant")}, {"content", text(reply->text)}};
    Value calls = reply->tool_calls.is_null() ? Value() : calls_to_wire(reply->tool_calls);
    if (stream) {
      chunk(calls.is_null() ? Value::object({}) : Value::object({{"tool_calls", calls}}),
            text(finish), usage(reply->usage));
      exchange.event("[DONE]");
      return exchange.end_stream();
    }
    if (!calls.is_null()) message.emplace_back("tool_calls", calls);
    std::vector<Value::Member> choice{{"index", Value::integer(0)},
                                      {"finish_reason", text(finish)}};
    if (chat) choice.emplace_back("message", Value::object(std::move(message)));
    if (!chat) choice.emplace_back("text", text(reply->text));
    if (!reply->logprobs.empty()) choice.emplace_back("logprobs", logprobs(*reply));
    exchange.reply(
        200, to_json(Value::object({{"choices", Value::array({Value::object(std::move(choice))})},
                                    {"usage", usage(reply->usage)}})));
  }

  void embeddings(Exchange& exchange, const Value& body) const {
    std::vector<std::string> texts;
    for (const Value& one : body.find("input")->items()) texts.push_back(string_of(&one));
    auto vectors = model_.embed(texts);
    if (!vectors) return reply_error(exchange, vectors.error());
    std::vector<Value> data;
    for (const auto& vector : *vectors) {
      std::vector<Value> numbers;
      for (float x : vector) numbers.push_back(Value::number(x));
      data.push_back(
          Value::object({{"index", Value::integer(static_cast<std::int64_t>(data.size()))},
                         {"embedding", Value::array(std::move(numbers))}}));
    }
    exchange.reply(200, to_json(Value::object({{"data", Value::array(std::move(data))}})));
  }

  ModelInstance& model_;
};

}  // namespace sluice::test
