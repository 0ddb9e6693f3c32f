// Identifiers that people see.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/random.h"

namespace sluice {

// A run's id: sortable by start time, 16 characters of Crockford base 32 in lower case
// (9 of wall-clock milliseconds, 7 of chance).
std::string make_run_id(WallNs now, Random& random);

// The closest of `candidates` to `name` by edit distance, or "" when none is close enough to
// suggest (distance over a third of the length). Used by every "did you mean".
template <class Names>
std::string closest_name(std::string_view name, const Names& candidates);

// Damerau-Levenshtein distance (optimal string alignment).
std::size_t edit_distance(std::string_view a, std::string_view b);

template <class Names>
std::string closest_name(std::string_view name, const Names& candidates) {
  std::string best;
  std::size_t best_distance = name.size() / 3 + 1;
  for (const auto& candidate : candidates) {
    std::size_t distance = edit_distance(name, candidate);
    if (distance <= best_distance && (best.empty() || distance < best_distance)) {
      best = std::string(candidate);
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace sluice
