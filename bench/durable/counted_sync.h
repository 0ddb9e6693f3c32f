// Counts what this process asks of the disk: fdatasync and fsync are replaced in this program by
// ones that count and then call the system's. Any thread.
#pragma once

#include <cstdint>

namespace sluice::bench {

std::uint64_t syncs_so_far();

}  // namespace sluice::bench
