#include "engine/tool_protocol.h"

#include <fmt/format.h>

#include "data/json.h"

namespace sluice {
namespace {

Value text(std::string_view value) { return Value::string(value); }

Value plain_object(std::vector<Value::Member> properties) {
  std::vector<Value> required;
  required.reserve(properties.size());
  for (const auto& member : properties) required.push_back(text(member.first));
  return Value::object({{"type", text("object")},
                        {"properties", Value::object(std::move(properties))},
                        {"required", Value::array(std::move(required))},
                        {"additionalProperties", Value::boolean(false)}});
}

// A schema that moves into another one: its references to itself follow.
Value moved(const Value& schema, const std::string& place) {
  if (schema.is_array()) {
    std::vector<Value> items;
    for (const Value& item : schema.items()) items.push_back(moved(item, place));
    return Value::array(std::move(items));
  }
  if (!schema.is_object()) return schema;
  std::vector<Value::Member> members;
  for (const auto& [key, value] : schema.members()) {
    if (key == "$schema" || key == "$id") continue;
    bool local = key == "$ref" && value.is_string() && value.as_string().starts_with('#');
    members.emplace_back(
        key, local ? text(place + std::string(value.as_string().substr(1))) : moved(value, place));
  }
  return Value::object(std::move(members));
}

Value arguments_schema(const ModelTool& tool) {
  if (tool.parameters.is_object()) return tool.parameters;
  return Value::object({{"type", text("object")}});
}

std::string json(const Value& value) {
  return to_json(value, {.indent = 0, .redact_secrets = false});
}

std::string describe_tools(std::span<const ModelTool> tools) {
  std::string out = "You can call these tools:\n";
  for (const ModelTool& tool : tools) {
    out += fmt::format("- {}: {} Arguments: {}\n", tool.name, tool.description,
                       json(arguments_schema(tool)));
  }
  out +=
      "Reply with one JSON object. To call a tool: {\"tool\": \"NAME\", \"arguments\": {...}}. "
      "When you know the answer: {\"answer\": ...}.";
  return out;
}

std::string written_call(const Value& call) {
  const Value* name = call.find("name");
  const Value* arguments = call.find("arguments");
  return json(Value::object({{"tool", name ? *name : Value()},
                             {"arguments", arguments ? *arguments : Value::object({})}}));
}

std::string called_tool(std::span<const ModelMessage> messages, const std::string& id) {
  for (const ModelMessage& message : messages) {
    if (!message.tool_calls.is_array()) continue;
    for (const Value& call : message.tool_calls.items()) {
      const Value* call_id = call.find("id");
      const Value* name = call.find("name");
      if (call_id && name && name->is_string() && *call_id == text(id)) {
        return std::string(name->as_string());
      }
    }
  }
  return "the tool";
}

}  // namespace

Value tool_choice_schema(std::span<const ModelTool> tools, const Value& answer) {
  std::vector<Value> choices;
  std::vector<Value::Member> definitions;
  for (const ModelTool& tool : tools) {
    std::string name = fmt::format("tool{}", definitions.size());
    std::string place = "#/$defs/" + name;
    definitions.emplace_back(name, moved(arguments_schema(tool), place));
    choices.push_back(plain_object({{"tool", Value::object({{"const", text(tool.name)}})},
                                    {"arguments", Value::object({{"$ref", text(place)}})}}));
  }
  definitions.emplace_back("answer", answer.is_null() ? Value::object({{"type", text("string")}})
                                                      : moved(answer, "#/$defs/answer"));
  choices.push_back(plain_object({{"answer", Value::object({{"$ref", text("#/$defs/answer")}})}}));
  return Value::object({{"anyOf", Value::array(std::move(choices))},
                        {"$defs", Value::object(std::move(definitions))}});
}

std::vector<ModelMessage> with_tools(std::span<const ModelMessage> messages,
                                     std::span<const ModelTool> tools) {
  std::vector<ModelMessage> out;
  if (!tools.empty() && (messages.empty() || messages.front().role != "system")) {
    out.push_back({.role = "system", .content = describe_tools(tools)});
  }
  for (const ModelMessage& message : messages) {
    ModelMessage next{.role = message.role, .content = message.content};
    if (message.role == "system" && out.empty() && !tools.empty()) {
      next.content += "\n\n" + describe_tools(tools);
    }
    if (message.role == "assistant" && message.tool_calls.is_array()) {
      for (const Value& call : message.tool_calls.items()) {
        next.content += (next.content.empty() ? "" : "\n") + written_call(call);
      }
    }
    if (message.role == "tool") {
      next.role = "user";
      next.content = fmt::format("Result of {}:\n{}", called_tool(messages, message.tool_call_id),
                                 message.content);
    }
    out.push_back(std::move(next));
  }
  return out;
}

Result<ToolChoice> read_tool_choice(const Value& reply, std::size_t call_number) {
  ToolChoice choice;
  if (const Value* answer = reply.find("answer")) {
    choice.answer = *answer;
    return choice;
  }
  const Value* tool = reply.find("tool");
  const Value* arguments = reply.find("arguments");
  if (!tool || !tool->is_string() || !arguments || !arguments->is_object()) {
    return fail(ErrorCode::kOutputInvalid,
                fmt::format("the model neither called a tool nor answered: {}", preview(reply)));
  }
  std::string id = fmt::format("call_{}", call_number);
  choice.tool_calls =
      Value::array({Value::object({{"id", text(id)}, {"name", *tool}, {"arguments", *arguments}})});
  return choice;
}

std::size_t count_tool_calls(std::span<const ModelMessage> messages) {
  std::size_t count = 0;
  for (const ModelMessage& message : messages) {
    if (message.tool_calls.is_array()) count += message.tool_calls.items().size();
  }
  return count;
}

}  // namespace sluice
