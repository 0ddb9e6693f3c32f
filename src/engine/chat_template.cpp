#include "engine/chat_template.h"

#include <jinja/caps.h>
#include <jinja/lexer.h>
#include <jinja/parser.h>
#include <jinja/runtime.h>

#include <exception>

namespace sluice {
namespace {

// A template is a part of the model file and no more trusted than that: a bound on its size keeps
// the recursive parser within the stack.
constexpr std::size_t kMaxTemplateBytes = 256 << 10;
constexpr std::size_t kMaxNesting = 200;

std::size_t nesting(std::string_view source) {
  std::size_t depth = 0;
  std::size_t most = 0;
  for (char c : source) {
    if (c == '(' || c == '[' || c == '{') most = std::max(most, ++depth);
    if ((c == ')' || c == ']' || c == '}') && depth > 0) --depth;
  }
  return most;
}

jinja::value text_value(const std::string& text, bool data) {
  auto value = jinja::mk_val<jinja::value_string>(text);
  if (data) value->mark_input();
  return value;
}

jinja::value message_value(const std::string& role, const std::string& content) {
  auto message = jinja::mk_val<jinja::value_object>();
  message->insert("role", text_value(role, false));
  message->insert("content", text_value(content, true));
  return message;
}

}  // namespace

struct ChatTemplate::Program {
  std::string source;
  std::string begin_text;
  std::string end_text;
  jinja::program program;
  bool system_role = true;
};

Result<ChatTemplate> ChatTemplate::parse(std::string source, std::string begin_text,
                                         std::string end_text) {
  if (source.size() > kMaxTemplateBytes || nesting(source) > kMaxNesting) {
    return fail(ErrorCode::kModelLoad,
                "the chat template in the model file is larger or deeper than any real one");
  }
  try {
    auto program = std::make_shared<Program>();
    jinja::lexer lexer;
    program->program = jinja::parse_from_tokens(lexer.tokenize(source));
    program->system_role = jinja::caps_get(program->program).supports_system_role;
    program->source = std::move(source);
    program->begin_text = std::move(begin_text);
    program->end_text = std::move(end_text);
    ChatTemplate out;
    out.program_ = std::move(program);
    return out;
  } catch (const std::exception& e) {
    return fail(ErrorCode::kModelLoad,
                std::string("the chat template in the model file does not parse: ") + e.what());
  }
}

Result<std::vector<TextSegment>> ChatTemplate::render(
    std::span<const ModelMessage> messages) const {
  try {
    jinja::context context(program_->source);
    auto list = jinja::mk_val<jinja::value_array>();
    std::string system;  // for templates that know no system role: goes before the first question
    for (const ModelMessage& message : messages) {
      if (message.role == "system" && !program_->system_role) {
        system += message.content + "\n\n";
        continue;
      }
      list->push_back(message_value(message.role, system + message.content));
      system.clear();
    }
    if (!system.empty()) list->push_back(message_value("user", system));
    context.set_val("messages", list);
    context.set_val("bos_token", text_value(program_->begin_text, false));
    context.set_val("eos_token", text_value(program_->end_text, false));
    context.set_val("add_generation_prompt", jinja::mk_val<jinja::value_bool>(true));
    context.set_val("enable_thinking", jinja::mk_val<jinja::value_bool>(false));
    jinja::runtime runtime(context);
    auto parts = jinja::runtime::gather_string_parts(runtime.execute(program_->program));
    std::vector<TextSegment> out;
    for (const jinja::string_part& part : parts->val_str.parts) {
      if (!part.val.empty()) out.push_back({.text = part.val, .data = part.is_input});
    }
    return out;
  } catch (const std::exception& e) {
    return fail(ErrorCode::kModelRefused,
                std::string("the model's chat template refuses these messages: ") + e.what());
  }
}

}  // namespace sluice
