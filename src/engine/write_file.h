// Small files of the cache: written beside their place and moved there, so that a reader sees the
// old text or the new one. Any thread.
#pragma once

#include <filesystem>
#include <string_view>

#include "base/error.h"

namespace sluice {

// Makes the folder too. kIo with the reason.
Result<void> write_file(const std::filesystem::path& file, std::string_view text);
// A name beside `file` that no other process uses.
std::filesystem::path unfinished_name(const std::filesystem::path& file);

}  // namespace sluice
