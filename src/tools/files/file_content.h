// A file's bytes, unpacked where they are gzip. Blocking; any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "base/error.h"
#include "tools/files/rooted_folder.h"

namespace sluice {

struct ReadLimits {
  std::uint64_t max_bytes = 0;   // more than this is kToolTooLarge; 0: no bound
  std::uint64_t head_bytes = 0;  // only the beginning is wanted; 0: all
};

// kToolOutput for gzip data that is broken, kCancelled when stopped.
Result<std::string> read_content(const FileHandle& file, const std::string& name, bool gzip,
                                 const ReadLimits& limits, const std::atomic<bool>& stopped);

// Latin-1 bytes as UTF-8.
std::string latin1_to_utf8(std::string_view bytes);

}  // namespace sluice
