// Other text filters.
#include <algorithm>

#include "data/expr/filters.h"
#include "data/expr/text.h"
#include "fmt/format.h"

namespace sluice::expr {
namespace {

bool make_strings(CallFrame& call, std::span<const std::string_view> parts, Value& out) {
  std::vector<Value> items;
  if (!call.run.grow(parts.size() * sizeof(Value))) return false;
  items.reserve(parts.size());
  for (std::string_view part : parts) {
    Value item;
    if (!call.run.make_string(part, item)) return false;
    items.push_back(std::move(item));
  }
  out = Value::array(std::move(items));
  return true;
}

// The first `count` characters.
std::string_view head(std::string_view text, std::size_t count) {
  std::size_t at = 0;
  while (count-- > 0 && at < text.size()) at += utf8_length(text, at);
  return text.substr(0, at);
}

bool unreserved(unsigned char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

void quote(std::string& out, std::string_view text, bool query) {
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (unreserved(byte) || (c == '/' && !query))
      out.push_back(c);
    else if (c == ' ' && query)
      out.push_back('+');
    else
      out += fmt::format("%{:02X}", byte);
  }
}

}  // namespace

bool filter_string(CallFrame& call, Value& out) {
  if (call.subject->is_string()) {
    out = Value(*call.subject);
    return true;
  }
  std::string text;
  if (!call.run.append_text(call.node, text, *call.subject)) return false;
  out = Value::string(text);
  return true;
}

bool filter_replace(CallFrame& call, Value& out) {
  std::string_view text = call.subject->as_string();
  std::string_view from = call.text(0, "");
  std::string_view to = call.text(1, "");
  std::int64_t left = call.integer(2, -1);
  if (left < 0) left = INT64_MAX;
  if (!call.run.scan(text.size())) return false;
  std::string result;
  std::size_t at = 0;
  while (left-- > 0) {
    // An empty `from` stands before each character and at the end, as in Python.
    std::size_t found = from.empty() ? at : text.find(from, at);
    if (found == std::string_view::npos) break;
    if (!call.run.grow(to.size()) || !call.run.step(1 + to.size() / 32)) return false;
    result.append(text, at, found - at).append(to);
    at = found + from.size();
    if (!from.empty()) continue;
    if (at >= text.size()) break;
    std::size_t length = utf8_length(text, at);
    result.append(text, at, length);
    at += length;
  }
  if (at < text.size()) result.append(text, at);
  return call.run.make_string(result, out);
}

bool filter_split(CallFrame& call, Value& out) {
  std::string_view text = call.subject->as_string();
  std::int64_t most = call.integer(1, -1);
  auto splits = most < 0 ? SIZE_MAX : static_cast<std::size_t>(most);
  if (!call.run.step(1 + text.size())) return false;
  if (call.args[0] == nullptr) return make_strings(call, split_whitespace(text, splits), out);
  std::string_view by = call.text(0, "");
  if (by.empty())
    return call.fail(ErrorCode::kExprType, "split needs a separator that is not empty");
  std::vector<std::string_view> parts;
  for (;;) {
    std::size_t found = parts.size() < splits ? text.find(by) : std::string_view::npos;
    parts.push_back(text.substr(0, found));
    if (found == std::string_view::npos) break;
    text = text.substr(found + by.size());
  }
  return make_strings(call, parts, out);
}

bool filter_lines(CallFrame& call, Value& out) {
  std::string_view text = call.subject->as_string();
  return call.run.step(1 + text.size()) && make_strings(call, split_lines(text), out);
}

bool filter_truncate(CallFrame& call, Value& out) {
  std::string_view text = call.subject->as_string();
  std::int64_t length = call.integer(0, 255);
  bool kill_words = call.flag(1);
  std::string_view end = call.text(2, "...");
  std::int64_t leeway = std::clamp<std::int64_t>(call.integer(3, 5), 0, INT32_MAX);
  auto end_length = static_cast<std::int64_t>(count_code_points(end));
  if (length < end_length) {
    return call.fail(
        ErrorCode::kExprType,
        fmt::format("truncate to {} leaves no room for its end \"{}\"", length, cut(end, 40)));
  }
  if (!call.run.scan(text.size() * 2)) return false;
  length = std::min<std::int64_t>(length, INT64_MAX / 2);
  if (static_cast<std::int64_t>(count_code_points(text)) <= length + leeway) {
    out = Value(*call.subject);
    return true;
  }
  std::string_view kept = head(text, static_cast<std::size_t>(length - end_length));
  if (!kill_words) {
    std::size_t space = kept.rfind(' ');
    if (space != std::string_view::npos) kept = kept.substr(0, space);
  }
  return call.run.make_string(std::string(kept).append(end), out);
}

bool filter_indent(CallFrame& call, Value& out) {
  std::string_view text = call.subject->as_string();
  bool first = call.flag(1);
  bool blank = call.flag(2);
  std::string margin;
  if (call.args[0] != nullptr && call.args[0]->is_string()) {
    margin = call.args[0]->as_string();
  } else {
    margin.assign(static_cast<std::size_t>(std::clamp<std::int64_t>(call.integer(0, 4), 0, 4096)),
                  ' ');
  }
  if (!call.run.step(1 + text.size())) return false;
  std::string result;
  std::size_t begin = 0;
  for (bool first_line = true;; first_line = false) {
    std::size_t newline = text.find('\n', begin);
    std::string_view line = text.substr(begin, newline - begin);
    bool indented = first_line ? first : (blank || line.find_first_not_of(" \t\r") != line.npos);
    if (indented) {
      if (!call.run.grow(margin.size()) || !call.run.scan(margin.size())) return false;
      result += margin;
    }
    result += line;
    if (newline == std::string_view::npos) break;
    result += '\n';
    begin = newline + 1;
  }
  return call.run.make_string(result, out);
}

bool filter_wordcount(CallFrame& call, Value& out) {
  std::string_view text = call.subject->as_string();
  if (!call.run.step(1 + text.size())) return false;
  std::int64_t words = 0;
  bool inside = false;
  for (std::size_t at = 0; at < text.size();) {
    bool word = is_unicode_word(next_code_point(text, at));
    if (word && !inside) ++words;
    inside = word;
  }
  out = Value::integer(words);
  return true;
}

bool filter_urlencode(CallFrame& call, Value& out) {
  std::string result;
  if (!call.subject->is_object()) {
    std::string text;
    if (!call.run.append_text(call.node, text, *call.subject) || !call.run.step(text.size())) {
      return false;
    }
    quote(result, text, false);
    return call.run.make_string(result, out);
  }
  for (const auto& [name, value] : call.subject->members()) {
    std::string text;
    if (!call.run.append_text(call.node, text, value)) return false;
    if (!call.run.step(1 + name.size() + text.size())) return false;
    if (!result.empty()) result += '&';
    quote(result, name, true);
    result += '=';
    quote(result, text, true);
  }
  return call.run.make_string(result, out);
}

}  // namespace sluice::expr
