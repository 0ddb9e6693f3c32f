// Which runs may go from the journal: by age, then by size. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "journal/journal.h"

namespace sluice {

struct GcRules {
  std::optional<std::int64_t> older_than_ns;  // since they were last at work
  std::optional<std::uint64_t> keep_bytes;    // of all runs together; the oldest go first
  bool abandoned = false;  // also runs that never ended and that no live process has
};

// Of `runs`, those to delete, the oldest first. What another process is at is never among them,
// nor what a fork that has not ended came from.
std::vector<JournaledRun> runs_to_delete(std::vector<JournaledRun> runs, const GcRules& rules,
                                         WallNs now);

}  // namespace sluice
