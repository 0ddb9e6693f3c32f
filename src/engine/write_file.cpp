#include "engine/write_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <system_error>

namespace sluice {

std::filesystem::path unfinished_name(const std::filesystem::path& file) {
  return file.string() + fmt::format(".{}.part", getpid());
}

Result<void> write_file(const std::filesystem::path& file, std::string_view text) {
  auto failed = [&](std::string_view why) {
    return fail(ErrorCode::kIo, fmt::format("cannot write {}: {}", file.string(), why));
  };
  std::error_code error;
  std::filesystem::create_directories(file.parent_path(), error);
  if (error) return failed(error.message());
  const std::filesystem::path part = unfinished_name(file);
  errno = 0;
  {
    std::ofstream out(part, std::ios::binary);
    out.write(text.data(), static_cast<std::streamsize>(text.size()));
    out.close();
    if (!out) {
      std::string why = std::strerror(errno);
      std::filesystem::remove(part, error);
      return failed(why);
    }
  }
  std::filesystem::rename(part, file, error);
  if (error) return failed(error.message());
  return {};
}

}  // namespace sluice
