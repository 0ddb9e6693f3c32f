#include "engine/jump_forward.h"

#include <algorithm>
#include <string>

namespace sluice {
namespace {

// Continuations that are tried at one place; beyond, it counts as uncertain.
constexpr int kMostTries = 512;

}  // namespace

JumpForward::JumpForward(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {
  sorted_.reserve(vocabulary.size());
  for (const std::string& bytes : vocabulary.all_bytes()) {
    if (bytes.empty()) continue;
    sorted_.push_back(bytes);
    longest_ = std::max(longest_, bytes.size());
  }
  std::ranges::sort(sorted_);
}

// Tokens that begin with `end` stand together; within them those with the same next byte do, so a
// byte that cannot follow is tried once for all of them.
bool JumpForward::reaches_over(std::string_view end, const MayFollow& may_follow) const {
  auto at = std::ranges::upper_bound(sorted_, end);
  int tries = 0;
  while (at != sorted_.end() && at->starts_with(end)) {
    std::string_view next = at->substr(0, end.size() + 1);
    auto beyond = std::partition_point(
        at, sorted_.end(), [&](std::string_view token) { return token.starts_with(next); });
    if (may_follow(next.substr(end.size()))) {
      for (; at != beyond; ++at) {
        if (++tries > kMostTries || may_follow(at->substr(end.size()))) return true;
      }
    }
    at = beyond;
  }
  return false;
}

std::size_t JumpForward::certain_bytes(std::string_view forced, const MayFollow& may_follow) const {
  std::size_t from = forced.size() < longest_ ? 0 : forced.size() - longest_ + 1;
  for (std::size_t at = from; at < forced.size(); ++at) {
    if (reaches_over(forced.substr(at), may_follow)) return at;
  }
  return forced.size();
}

bool JumpForward::spells(const std::vector<Token>& tokens, std::string_view text) const {
  for (Token token : tokens) {
    std::string_view bytes = vocabulary_.bytes(token);
    if (bytes.empty() || !text.starts_with(bytes)) return false;
    text.remove_prefix(bytes.size());
  }
  return text.empty();
}

// Some vocabularies put a blank before the first word of a text. Behind a line break they do not,
// and no token reaches from it into the text.
std::vector<Token> JumpForward::split(std::string_view text) const {
  std::vector<Token> tokens = vocabulary_.tokenize_data(text);
  if (spells(tokens, text)) return tokens;
  tokens = vocabulary_.tokenize_data("\n" + std::string(text));
  for (std::size_t drop = 1; drop <= std::min<std::size_t>(2, tokens.size()); ++drop) {
    std::vector<Token> rest(tokens.begin() + static_cast<std::ptrdiff_t>(drop), tokens.end());
    if (spells(rest, text)) return rest;
  }
  return {};
}

std::vector<Token> JumpForward::tokens(std::string_view forced, const MayFollow& may_follow) const {
  std::vector<Token> out = split(forced);
  std::size_t certain = out.empty() ? 0 : certain_bytes(forced, may_follow);
  std::size_t bytes = 0;
  std::size_t kept = 0;
  while (kept < out.size()) {
    bytes += vocabulary_.bytes(out[kept]).size();
    if (bytes > certain) break;
    ++kept;
  }
  out.resize(kept);
  return out;
}

}  // namespace sluice
