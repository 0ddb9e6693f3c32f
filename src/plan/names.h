// Names of the plan language: the form of an id, and the sentence "did you mean". Pure.
#pragma once

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

#include "base/ids.h"
#include "fmt/format.h"

namespace sluice {

// [a-z][a-z0-9_]*, at most 64 bytes.
inline bool valid_id(std::string_view text) {
  auto lower = [](char c) { return c >= 'a' && c <= 'z'; };
  if (text.empty() || text.size() > 64 || !lower(text[0])) return false;
  return std::all_of(text.begin(), text.end(),
                     [&](char c) { return lower(c) || (c >= '0' && c <= '9') || c == '_'; });
}

// "db.query" as tool and function; no function without a dot.
inline std::pair<std::string_view, std::string_view> split_function(std::string_view name) {
  std::size_t dot = name.find('.');
  if (dot == std::string_view::npos) return {name, std::string_view()};
  return {name.substr(0, dot), name.substr(dot + 1)};
}

// "; did you mean X?", or "" when nothing is close. Not asked of very many names: a plan with as
// many errors as steps would take the square of both.
template <class Names>
std::string did_you_mean(std::string_view name, const Names& candidates) {
  if (name.size() > 200 || std::size(candidates) > 1000) return "";
  std::string close = closest_name(name, candidates);
  return close.empty() ? "" : fmt::format("; did you mean {}?", close);
}

// A name from the plan as a message may show it: short, on one line.
inline std::string shown(std::string_view name) {
  std::string text(name.substr(0, 60));
  std::replace_if(text.begin(), text.end(), [](char c) { return c >= 0 && c < ' '; }, ' ');
  while (!text.empty() && name.size() > 60 && (text.back() & 0x80) != 0) text.pop_back();
  return name.size() > 60 ? text + "..." : text;
}

}  // namespace sluice
