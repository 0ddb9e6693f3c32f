// Reading files that a person named, with messages that say what is wrong and what to do. Any
// thread; blocks.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

#include "base/error.h"

namespace sluice {

// The whole file; "-" is standard input. kFileUnreadable: missing (with a name that is close),
// a directory, no permission, not a file, larger than `max_bytes`.
Result<std::string> read_file(const std::filesystem::path& file, std::size_t max_bytes);

inline constexpr std::size_t kMaxPlanBytes = 8 << 20;

// The text of a plan. Also refuses what is plainly no plan (kPlanSyntax: PDF, archive, model file,
// other bytes) and what is too large (kPlanTooLarge).
Result<std::string> read_plan_file(const std::filesystem::path& file);

}  // namespace sluice
