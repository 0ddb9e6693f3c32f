// Bounds what is remembered of those who are away, so that a server that many come to once stays
// as small and as quick as it began. Pure.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <vector>

#include "base/clock.h"

namespace sluice {

// When `map` has more than twice `keep` entries: forgets those that were away for longest, down to
// `keep`; once in a while, so that it costs each arrival next to nothing. `away_since(entry)` gives
// nullopt for who is here; `forgotten(entry)` hears of each that goes.
template <class Map, class AwaySince, class Forgotten>
void forget_oldest(Map& map, std::size_t keep, AwaySince away_since, Forgotten forgotten) {
  if (map.size() <= 2 * keep) return;
  struct Away {
    SteadyNs since_ns;
    typename Map::iterator entry;
  };
  std::vector<Away> away;
  for (auto entry = map.begin(); entry != map.end(); ++entry) {
    if (const std::optional<SteadyNs> since = away_since(*entry)) away.push_back({*since, entry});
  }
  const std::size_t count = std::min(away.size(), map.size() - keep);
  std::ranges::nth_element(away, away.begin() + static_cast<std::ptrdiff_t>(count), {},
                           &Away::since_ns);
  for (std::size_t i = 0; i < count; ++i) {
    forgotten(*away[i].entry);
    map.erase(away[i].entry);
  }
}

}  // namespace sluice
