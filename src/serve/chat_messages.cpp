#include "serve/chat_messages.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/ids.h"
#include "data/json.h"

namespace sluice {
namespace {

constexpr std::size_t kNoLimit = static_cast<std::size_t>(-1);  // the body's limit holds
constexpr std::size_t kMostName = 64;

// One part of a message's content as text.
std::string read_part(const Value& item, const std::string& path, RequestProblem& problem) {
  RequestFields part(item, path, problem);
  const Value* type = part.find("type");
  if (type == nullptr || !type->is_string()) {
    part.wrong("type", fmt::format("`{}.type` must be a string", path), "invalid_type");
    return {};
  }
  if (type->as_string() == "text") {
    auto text = part.text("text", kNoLimit);
    part.require("text");
    part.finish();
    return text.value_or("");
  }
  if (type->as_string() == "refusal") {
    auto text = part.text("refusal", kNoLimit);
    part.finish();
    return text.value_or("");
  }
  part.wrong(
      "type",
      fmt::format("`{}.type` is {}, and the models here read text only", path, preview(*type, 40)),
      "unsupported_parameter");
  return {};
}

// A string, or parts of which all are text.
std::string read_content(RequestFields& message, bool required) {
  const Value* content = message.find("content");
  if (content == nullptr) {
    if (required) message.require("content");
    return {};
  }
  if (content->is_string()) return std::string(content->as_string());
  if (!content->is_array()) {
    message.wrong("content",
                  fmt::format("`{}` must be a string or an array of parts, and is {}",
                              message.path_of("content"), kind_with_article(content->kind())),
                  "invalid_type");
    return {};
  }
  std::string text;
  bool first = true;
  message.each("content", kMostMessages, [&](const Value& item, const std::string& path) {
    if (!std::exchange(first, false)) text += '\n';
    text += read_part(item, path, message.problem());
  });
  return text;
}

// A function's arguments come as JSON text. What another model wrote may be broken: it stays text.
Value read_arguments(const std::string& text) {
  auto parsed = parse_json(text, {.max_depth = 64});
  return parsed ? *parsed : Value::string(text);
}

Value read_call(const Value& item, const std::string& path, RequestProblem& problem) {
  RequestFields call(item, path, problem);
  call.word("type", {"function"});
  call.require("id");
  call.require("function");
  auto id = call.text("id", 256);
  auto function = call.object("function");
  call.ignore_rest();
  call.finish();
  if (!function) return {};
  function->require("name");
  auto name = function->text("name", 256);
  auto arguments = function->text("arguments", kNoLimit);
  function->ignore_rest();
  function->finish();
  return Value::object({{"id", Value::string(id.value_or(""))},
                        {"name", Value::string(name.value_or(""))},
                        {"arguments", arguments && !arguments->empty() ? read_arguments(*arguments)
                                                                       : Value::object({})}});
}

ModelMessage read_message(const Value& item, const std::string& path, RequestProblem& problem) {
  RequestFields reader(item, path, problem);
  ModelMessage message;
  reader.require("role");
  auto role = reader.word("role", {"system", "developer", "user", "assistant", "tool"});
  if (!role) return message;
  message.role = *role;
  if (*role == "assistant") {
    std::vector<Value> calls;
    reader.each("tool_calls", kMostTools, [&](const Value& call, const std::string& at) {
      calls.push_back(read_call(call, at, problem));
    });
    message.content = read_content(reader, calls.empty() && reader.find("refusal") == nullptr);
    if (auto refusal = reader.text("refusal", kNoLimit)) message.content += *refusal;
    if (!calls.empty()) message.tool_calls = Value::array(std::move(calls));
    reader.refuse("function_call", "use `tool_calls`");
    reader.refuse("audio", "the models here read text only");
    reader.ignore_rest();  // clients send replies back with what they added
  } else {
    message.content = read_content(reader, true);
  }
  if (*role == "tool") {
    reader.require("tool_call_id");
    message.tool_call_id = reader.text("tool_call_id", 256).value_or("");
  }
  reader.ignore({"name"});
  reader.finish();
  return message;
}

bool good_name(std::string_view name) {
  return !name.empty() && name.size() <= kMostName && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  });
}

ModelTool read_tool(const Value& item, const std::string& path, RequestProblem& problem) {
  RequestFields reader(item, path, problem);
  ModelTool tool;
  reader.require("type");
  reader.word("type", {"function"});
  reader.require("function");
  auto function = reader.object("function");
  reader.finish();
  if (!function) return tool;
  function->require("name");
  tool.name = function->text("name", kNoLimit).value_or("");
  if (!problem.any() && !good_name(tool.name)) {
    function->wrong("name", fmt::format("`{}` must be 1 to {} letters, digits, _, - or .",
                                        function->path_of("name"), kMostName));
  }
  tool.description = function->text("description", kNoLimit).value_or("");
  function->object("parameters");  // says so when it is none
  if (const Value* parameters = function->find("parameters")) tool.parameters = *parameters;
  function->boolean("strict");  // always enforced
  function->finish();
  return tool;
}

}  // namespace

std::vector<ModelMessage> read_messages(RequestFields& body) {
  std::vector<ModelMessage> messages;
  body.require("messages");
  body.each("messages", kMostMessages, [&](const Value& item, const std::string& path) {
    messages.push_back(read_message(item, path, body.problem()));
  });
  if (messages.empty()) body.wrong("messages", "`messages` holds no message");
  return messages;
}

std::vector<ModelTool> read_tools(RequestFields& body) {
  std::vector<ModelTool> tools;
  body.each("tools", kMostTools, [&](const Value& item, const std::string& path) {
    tools.push_back(read_tool(item, path, body.problem()));
    for (std::size_t i = 0; i + 1 < tools.size(); ++i) {
      if (tools[i].name != tools.back().name) continue;
      body.problem().say(path + ".function.name",
                         fmt::format("two tools have the name {}", tools.back().name));
    }
  });
  return tools;
}

ToolWish read_tool_choice_field(RequestFields& body, const std::vector<ModelTool>& tools) {
  ToolWish wish;
  const Value* choice = body.find("tool_choice");
  if (choice == nullptr) return wish;
  if (choice->is_object()) {
    wish.mode = ToolWish::Mode::kRequired;
    RequestFields reader(*choice, "tool_choice", body.problem());
    reader.word("type", {"function"});
    reader.require("function");
    auto function = reader.object("function");
    reader.finish();
    if (!function) return wish;
    function->require("name");
    wish.name = function->text("name", 256).value_or("");
    function->finish();
    std::vector<std::string_view> names;
    for (const ModelTool& tool : tools) names.push_back(tool.name);
    if (std::ranges::find(names, wish.name) == names.end()) {
      const std::string close = closest_name(wish.name, names);
      body.wrong("tool_choice.function.name",
                 fmt::format("`tools` has no {}{}", preview(Value::string(wish.name), 80),
                             close.empty() ? "" : fmt::format("; did you mean {}?", close)));
    }
    return wish;
  }
  auto word = body.word("tool_choice", {"auto", "none", "required"});
  if (!word) return wish;
  if (*word == "none") wish.mode = ToolWish::Mode::kNone;
  if (*word == "required") wish.mode = ToolWish::Mode::kRequired;
  if (*word == "required" && tools.empty()) {
    body.wrong("tool_choice", "`tool_choice` is required, and `tools` holds none");
  }
  return wish;
}

}  // namespace sluice
