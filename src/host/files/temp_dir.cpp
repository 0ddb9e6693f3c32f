#include "host/files/temp_dir.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>
#include <utility>

namespace sluice {

Result<TempDir> TempDir::make() {
  const char* given = std::getenv("TMPDIR");
  const std::filesystem::path parent = given != nullptr && *given != '\0' ? given : "/tmp";
  std::string pattern = (parent / "sluice-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) {
    const ErrorCode code = errno == ENOSPC ? ErrorCode::kDiskFull : ErrorCode::kIo;
    return fail(code,
                fmt::format("cannot make a folder for temporary files in {}: {}; name another "
                            "place with TMPDIR",
                            parent.string(), std::strerror(errno)));
  }
  return TempDir(pattern);
}

void TempDir::remove() {
  if (path_.empty()) return;
  std::error_code ignored;
  std::filesystem::remove_all(std::exchange(path_, {}), ignored);
}

}  // namespace sluice
