// upper, lower, title, capitalize, trim.
#include "data/expr/filters.h"
#include "data/expr/text.h"

namespace sluice::expr {

bool filter_upper(CallFrame& call, Value& out) {
  return call.run.scan(call.subject->size() * 8) &&
         call.run.make_string(upper(call.subject->as_string()), out);
}

bool filter_lower(CallFrame& call, Value& out) {
  return call.run.scan(call.subject->size() * 8) &&
         call.run.make_string(lower(call.subject->as_string()), out);
}

// As in Jinja: a word starts after whitespace or one of -({[<.
bool filter_title(CallFrame& call, Value& out) {
  std::string_view text = call.subject->as_string();
  if (!call.run.scan(text.size() * 8)) return false;
  std::string result;
  bool start = true;
  for (std::size_t at = 0; at < text.size();) {
    char32_t code = next_code_point(text, at);
    bool separates = is_unicode_space(code) || code == '-' || code == '(' || code == '{' ||
                     code == '[' || code == '<';
    append_utf8(result, start ? to_upper(code) : to_lower(code));
    start = separates;
  }
  return call.run.make_string(result, out);
}

bool filter_capitalize(CallFrame& call, Value& out) {
  std::string_view text = call.subject->as_string();
  if (!call.run.scan(text.size() * 8)) return false;
  std::string result;
  for (std::size_t at = 0; at < text.size();) {
    bool first = at == 0;
    char32_t code = next_code_point(text, at);
    append_utf8(result, first ? to_upper(code) : to_lower(code));
  }
  return call.run.make_string(result, out);
}

bool filter_trim(CallFrame& call, Value& out) {
  std::string_view text = call.subject->as_string();
  if (!call.run.scan(text.size() + call.text(0, "").size())) return false;
  std::u32string drop;
  std::string_view characters = call.text(0, "");
  for (std::size_t at = 0; at < characters.size();) drop += next_code_point(characters, at);
  auto dropped = [&](char32_t code) {
    return call.args[0] == nullptr ? is_unicode_space(code) : drop.find(code) != drop.npos;
  };
  std::size_t begin = 0;
  while (begin < text.size()) {
    std::size_t next = begin;
    if (!dropped(next_code_point(text, next))) break;
    begin = next;
  }
  std::size_t end = text.size();
  while (end > begin) {
    std::size_t start = end - 1;
    while (start > begin && (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80) --start;
    std::size_t next = start;
    if (!dropped(next_code_point(text, next))) break;
    end = start;
  }
  if (!call.run.step((text.size() - (end - begin)) * (1 + drop.size() / 8))) return false;
  return call.run.make_string(text.substr(begin, end - begin), out);
}

}  // namespace sluice::expr
