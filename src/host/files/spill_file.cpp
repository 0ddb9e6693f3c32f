#include "host/files/spill_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace sluice {
namespace {

Error system_error(std::string_view what) {
  ErrorCode code = errno == ENOSPC || errno == EDQUOT ? ErrorCode::kDiskFull : ErrorCode::kIo;
  return {code, fmt::format("{}: {}", what, std::strerror(errno))};
}

}  // namespace

SpillFile::~SpillFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<void> SpillFile::open() {
  if (descriptor_ >= 0) return {};
  std::string pattern = (directory_ / "spill-XXXXXX").string();
  descriptor_ = ::mkostemp(pattern.data(), O_CLOEXEC);
  if (descriptor_ < 0) {
    return std::unexpected(system_error("cannot make a spill file in " + directory_.string()));
  }
  ::unlink(pattern.c_str());
  return {};
}

Result<std::uint64_t> SpillFile::append(std::string_view bytes) {
  if (auto opened = open(); !opened) return std::unexpected(opened.error());
  const std::uint64_t offset = size_;
  std::size_t written = 0;
  while (written < bytes.size()) {
    ssize_t count = ::pwrite(descriptor_, bytes.data() + written, bytes.size() - written,
                             static_cast<off_t>(offset + written));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      return std::unexpected(
          system_error("cannot write to the spill file in " + directory_.string()));
    }
    written += static_cast<std::size_t>(count);
  }
  size_ += bytes.size();
  return offset;
}

Result<std::string> SpillFile::read(std::uint64_t offset, std::size_t size) const {
  std::string bytes(size, '\0');
  std::size_t done = 0;
  while (done < size) {
    ssize_t count =
        ::pread(descriptor_, bytes.data() + done, size - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return std::unexpected(system_error("cannot read the spill file"));
    if (count == 0) return fail(ErrorCode::kIo, "the spill file is shorter than it was");
    done += static_cast<std::size_t>(count);
  }
  return bytes;
}

}  // namespace sluice
