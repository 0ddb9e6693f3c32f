// regex_search, regex_findall, regex_replace: RE2, linear in the text.
#include "data/expr/filters.h"
#include "data/expr/text.h"

namespace sluice::expr {
namespace {

// The whole match, or its only group; several groups give an array.
bool match_value(CallFrame& call, std::span<const re2::StringPiece> groups, Value& out) {
  auto one = [&](const re2::StringPiece& piece, Value& value) {
    return call.run.make_string(std::string_view(piece.data(), piece.size()), value);
  };
  if (groups.size() == 1) return one(groups[0], out);
  if (groups.size() == 2) return one(groups[1], out);
  std::vector<Value> values(groups.size() - 1);
  if (!call.run.grow(values.size() * sizeof(Value))) return false;
  for (std::size_t i = 1; i < groups.size(); ++i) {
    if (!one(groups[i], values[i - 1])) return false;
  }
  out = Value::array(std::move(values));
  return true;
}

std::vector<re2::StringPiece> groups_of(const re2::RE2& regex) {
  return std::vector<re2::StringPiece>(static_cast<std::size_t>(regex.NumberOfCapturingGroups()) +
                                       1);
}

bool match_at(const re2::RE2& regex, std::string_view text, std::size_t from,
              std::vector<re2::StringPiece>& groups) {
  return from <= text.size() &&
         regex.Match(re2::StringPiece(text.data(), text.size()), from, text.size(),
                     re2::RE2::UNANCHORED, groups.data(), static_cast<int>(groups.size()));
}

// A search that runs to the end of the text may find its match near the start.
std::uint64_t next_search_steps(std::string_view text, std::size_t at) {
  return 8 + (text.size() - at) / 1024;
}

// Where to search after the match, past one character when it was empty.
std::size_t behind(std::string_view text, const re2::StringPiece& match) {
  std::size_t end = static_cast<std::size_t>(match.data() - text.data()) + match.size();
  if (!match.empty()) return end;
  return end < text.size() ? end + utf8_length(text, end) : text.size() + 1;
}

}  // namespace

std::uint64_t search_steps(const re2::RE2& regex, std::size_t bytes) {
  return 1 + bytes * (1 + static_cast<std::uint64_t>(regex.ProgramSize()) / 32);
}

const re2::RE2* pattern_of(CallFrame& call, std::size_t param) {
  if (call.call.regex) return call.call.regex.get();
  return call.run.regex(call.node, call.text(param, ""));
}

bool filter_regex_search(CallFrame& call, Value& out) {
  const re2::RE2* regex = pattern_of(call, 0);
  std::string_view text = call.subject->as_string();
  if (regex == nullptr || !call.run.step(search_steps(*regex, text.size()))) return false;
  auto groups = groups_of(*regex);
  if (match_at(*regex, text, 0, groups)) return match_value(call, groups, out);
  out = Value();
  return true;
}

bool filter_regex_findall(CallFrame& call, Value& out) {
  const re2::RE2* regex = pattern_of(call, 0);
  std::string_view text = call.subject->as_string();
  if (regex == nullptr || !call.run.step(search_steps(*regex, text.size()))) return false;
  auto groups = groups_of(*regex);
  std::vector<Value> found;
  for (std::size_t at = 0; match_at(*regex, text, at, groups); at = behind(text, groups[0])) {
    found.emplace_back();
    if (!call.run.grow(sizeof(Value)) || !match_value(call, groups, found.back())) return false;
    if (!call.run.step(next_search_steps(text, at))) return false;
  }
  out = Value::array(std::move(found));
  return true;
}

bool filter_regex_replace(CallFrame& call, Value& out) {
  const re2::RE2* regex = pattern_of(call, 0);
  std::string_view text = call.subject->as_string();
  if (regex == nullptr || !call.run.step(search_steps(*regex, text.size()))) return false;
  std::string rewrite(call.text(1, ""));
  std::string problem;
  if (!regex->CheckRewriteString(rewrite, &problem)) {
    return call.fail(ErrorCode::kExprType, "not a replacement: " + problem);
  }
  auto groups = groups_of(*regex);
  std::string result;
  std::size_t copied = 0;
  for (std::size_t at = 0; match_at(*regex, text, at, groups); at = behind(text, groups[0])) {
    auto begin = static_cast<std::size_t>(groups[0].data() - text.data());
    result.append(text, copied, begin - copied);
    std::size_t before = result.size();
    regex->Rewrite(&result, rewrite, groups.data(), static_cast<int>(groups.size()));
    if (!call.run.grow(result.size() - before) || !call.run.step(next_search_steps(text, at)))
      return false;
    copied = begin + groups[0].size();
  }
  if (copied < text.size()) result.append(text, copied);
  return call.run.make_string(result, out);
}

}  // namespace sluice::expr
