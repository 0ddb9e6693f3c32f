// Finds files by pattern below a folder: `*`, `?`, `[a-z]`, `[!x]` within a name, `**` for any
// depth of folders, `\` before a character that is meant itself. Names that begin with a dot are
// found only by a pattern that writes the dot. Blocking; any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "tools/files/rooted_folder.h"

namespace sluice {

// The regular files that match, relative to the folder, sorted by their bytes. `**` does not
// follow symbolic links, written segments do as long as they stay below the folder.
// kArgInvalid, kToolTooLarge beyond max_bytes of names (0: no bound), kCancelled.
Result<std::vector<std::string>> glob_files(const RootedFolder& folder, std::string_view pattern,
                                            std::uint64_t max_bytes,
                                            const std::atomic<bool>& stopped);

// Whether one name matches one segment of a pattern. Time is bounded by the product of the sizes.
bool glob_matches(std::string_view segment, std::string_view name);

}  // namespace sluice
