#include "host/calls/llm_call.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "data/json.h"

namespace sluice {
namespace {

std::string text_of(const Value* value) {
  if (value == nullptr || value->is_null()) return "";
  return value->is_string() ? std::string(value->as_string())
                            : to_json(*value, {.redact_secrets = false});
}

ModelMessage message_of(const Value& value) {
  ModelMessage message;
  message.role = text_of(value.find("role"));
  message.content = text_of(value.find("content"));
  if (const Value* calls = value.find("tool_calls")) message.tool_calls = *calls;
  message.tool_call_id = text_of(value.find("tool_call_id"));
  return message;
}

void add_messages(std::vector<ModelMessage>& out, const Value* list) {
  if (list == nullptr || !list->is_array()) return;
  for (const Value& item : list->items()) {
    // A turn's messages may come as one list.
    if (item.is_array()) {
      add_messages(out, &item);
    } else {
      out.push_back(message_of(item));
    }
  }
}

// The step's own setting, else the model's.
class Settings {
 public:
  Settings(const Value& args, const Value& defaults) : args_(args), defaults_(defaults) {}
  const Value* find(std::string_view key) const {
    const Value* own = args_.find(key);
    return own != nullptr && !own->is_null() ? own : defaults_.find(key);
  }
  std::optional<std::int64_t> integer(std::string_view key) const {
    const Value* value = find(key);
    return value != nullptr && value->is_int() ? std::optional(value->as_int()) : std::nullopt;
  }
  std::optional<double> number(std::string_view key) const {
    const Value* value = find(key);
    return value != nullptr && value->is_number() ? std::optional(value->as_double())
                                                  : std::nullopt;
  }

 private:
  const Value& args_;
  const Value& defaults_;
};

Sampling sampling_of(const Settings& settings) {
  Sampling sampling;
  constexpr std::int64_t kMostTokens = 1 << 24;
  if (auto tokens = settings.integer("max_tokens"); tokens && *tokens > 0) {
    sampling.max_tokens = static_cast<std::uint32_t>(std::min(*tokens, kMostTokens));
  }
  sampling.temperature = settings.number("temperature").value_or(sampling.temperature);
  sampling.top_p = settings.number("top_p").value_or(sampling.top_p);
  if (auto seed = settings.integer("seed")) sampling.seed = static_cast<std::uint64_t>(*seed);
  if (const Value* stop = settings.find("stop"); stop != nullptr && stop->is_array()) {
    for (const Value& text : stop->items()) sampling.stop.push_back(text_of(&text));
  }
  const Value* logprobs = settings.find("logprobs");
  sampling.logprobs = logprobs != nullptr && logprobs->is_bool() && logprobs->as_bool();
  sampling.top_logprobs = static_cast<std::uint32_t>(settings.integer("top_logprobs").value_or(0));
  return sampling;
}

std::uint32_t turns_of(const Value& args) {
  const Value* turns = args.find("turns");
  return turns != nullptr && turns->is_int() ? static_cast<std::uint32_t>(turns->as_int())
                                             : kDefaultTurns;
}

// The binder gives a prompt in pieces, [{text, data}, ...]: only the plan's own text may hold
// special tokens, what came through an expression never may.
std::vector<PromptSegment> prompt_pieces(const Value& prompt) {
  std::vector<PromptSegment> pieces;
  if (!prompt.is_array()) {
    pieces.push_back({{text_of(&prompt), true, prompt.labels()}, false});
    return pieces;
  }
  for (const Value& piece : prompt.items()) {
    const Value* data = piece.find("data");
    const bool is_data = data == nullptr || !data->is_bool() || data->as_bool();
    pieces.push_back({{text_of(piece.find("text")), is_data, piece.labels()}, false});
  }
  return pieces;
}

std::string whole_text(const std::vector<PromptSegment>& pieces) {
  std::string text;
  for (const PromptSegment& piece : pieces) text += piece.text.text;
  return text;
}

// With what another model took that was asked before.
Usage usage_of(const ModelReply& reply) {
  Usage usage;
  for (const ModelUsage* each : {&reply.usage, &reply.earlier}) {
    usage += {each->prompt_tokens, each->cached_tokens, each->completion_tokens, each->usd};
  }
  return usage;
}

CallOutcome wish_for_tools(const StartCall& start, ModelReply& reply, const Usage& usage) {
  const std::uint32_t turns = turns_of(start.args);
  if (start.call.turn >= turns) {
    return CallOutcome::failed(
        Error(ErrorCode::kTurnsExhausted,
              fmt::format("the model wanted tools again in the last of {} turns; raise `turns` or "
                          "tell it to answer",
                          turns)),
        false, usage);
  }
  ToolsWanted wanted;
  wanted.calls = reply.tool_calls;
  wanted.message = Value::object({{"role", Value::string("assistant")},
                                  {"content", Value::string(reply.text)},
                                  {"tool_calls", reply.tool_calls}})
                       .with_labels({.untrusted = true});
  return {std::move(wanted), usage};
}

}  // namespace

std::string wire_tool_name(std::string_view tool, std::string_view function) {
  std::string name = fmt::format("{}__{}", tool, function);
  for (char& c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '_' || c == '-';
    if (!plain) c = '_';
  }
  constexpr std::size_t kLongestName = 64;  // what the OpenAI routes take
  if (name.size() > kLongestName) name.resize(kLongestName);
  return name;
}

Result<ModelRequest> make_model_request(const StartCall& start, const ModelDefaults& defaults,
                                        std::span<const OfferedTool> offered,
                                        std::string_view run_id) {
  const PhysicalStep& step = *start.step;
  const Value& args = start.args;
  ModelRequest request;
  const Value* prompt = args.find("prompt");
  const Value* messages = args.find("messages");
  if (prompt != nullptr && !prompt->is_null()) {
    request.prompt = prompt_pieces(*prompt);
    add_messages(request.messages, &start.transcript);
    if (!request.messages.empty()) {
      // Turns need roles: a prompt with tools goes on as a conversation.
      request.messages.insert(request.messages.begin(),
                              ModelMessage{"user", whole_text(request.prompt), {}, ""});
      request.prompt.clear();
    }
  } else if (messages != nullptr && messages->is_array() && messages->size() > 0) {
    add_messages(request.messages, messages);
    add_messages(request.messages, &start.transcript);
  } else {
    return fail(ErrorCode::kArgInvalid, "an llm step needs `messages` (at least one) or `prompt`");
  }
  for (const OfferedTool& tool : offered) {
    request.tools.push_back({tool.wire_name, tool.spec->description,
                             tool.spec->input ? tool.spec->input->source() : Value::object({})});
  }
  request.sampling = sampling_of(Settings(args, defaults.sampling));
  request.output = step.logical.output;
  request.deterministic = defaults.deterministic;
  request.timeout_ms = start.timeout_ms > 0 ? start.timeout_ms : defaults.timeout_ms;
  request.idempotency_key = start.idempotency_key;
  request.hints.program = run_id;
  request.hints.task = start.task_id;
  request.hints.rank = step.rank;
  request.hints.remaining_path_s = step.advice.remaining_s;
  request.hints.expected_tokens = step.advice.expected_tokens;
  request.hints.policies.order = step.advice.order;
  // Another turn may follow, or a step that asks about the same: what the engine has computed of
  // this one is then needed again.
  const bool another_turn = !offered.empty() && start.call.turn < turns_of(args);
  request.hints.returns = another_turn || step.advice.prefix_returns;
  return request;
}

Result<ModelRequest> make_next_turn(const StartCall& start, const ModelDefaults& defaults,
                                    std::span<const OfferedTool> offered, std::string_view run_id,
                                    const ModelReply& reply) {
  auto request = make_model_request(start, defaults, offered, run_id);
  if (!request) return request;
  request->messages.push_back({.role = "assistant",
                               .content = reply.text,
                               .tool_calls = reply.tool_calls,
                               .tool_call_id = ""});
  request->hints.returns = true;
  if (reply.tool_calls.is_array() && reply.tool_calls.size() > 0) {
    request->hints.next_tool = text_of(reply.tool_calls.items().front().find("name"));
  }
  return request;
}

CallOutcome model_outcome(const StartCall& start, Result<ModelReply> reply) {
  if (!reply) return CallOutcome::failed(reply.error());
  const Usage usage = usage_of(*reply);
  if (reply->tool_calls.is_array() && reply->tool_calls.size() > 0) {
    return wish_for_tools(start, *reply, usage);
  }
  const SchemaPtr& schema = start.step->logical.output;
  Value output;
  if (schema) {
    // What the grammar cannot enforce is checked here.
    output = std::move(reply->json);
    if (auto misfit = check_output(schema, output)) {
      return CallOutcome::failed(*misfit, false, usage);
    }
  } else {
    auto text = Value::from_utf8(reply->text);
    if (!text) return CallOutcome::failed(text.error(), false, usage);
    output = std::move(*text);
  }
  return CallOutcome::returned(output.with_labels({.untrusted = true}), usage);
}

}  // namespace sluice
