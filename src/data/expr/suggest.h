// "Did you mean ...?" for names from outside: bounded work, whatever the names are. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"

namespace sluice::expr {

// The closest of `candidates`, or "" when none is close or the name is too long to be a slip.
template <class Names>
std::string suggest(std::string_view name, const Names& candidates) {
  constexpr std::size_t kLongest = 64;
  constexpr std::size_t kMost = 200;
  if (name.size() > kLongest) return "";
  std::vector<std::string_view> short_ones;
  for (const auto& candidate : candidates) {
    if (short_ones.size() == kMost) break;
    if (std::string_view(candidate).size() <= kLongest) short_ones.push_back(candidate);
  }
  return closest_name(name, short_ones);
}

}  // namespace sluice::expr
