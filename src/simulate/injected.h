// Injected bugs: which seed finds a failpoint, and by which check. One thread: failpoints are the
// program's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/failpoint.h"

namespace sluice {

struct FoundBug {
  std::uint64_t seed = 0;
  std::string check;
  std::string what;
};

// The world of one seed with the mistake switched on; nullopt: nothing was noticed.
std::optional<FoundBug> try_bug(Failpoint mistake, std::uint64_t seed);
// The first seed from 1 to `most` that finds it.
std::optional<FoundBug> find_bug(Failpoint mistake, std::uint64_t most);

}  // namespace sluice
