#include "tools/table/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <system_error>
#include <utility>

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBufferBytes = 1 << 20;
constexpr mode_t kMode = 0666;
constexpr std::size_t kMostOfOwner = 24;  // ids of runs are shorter

fs::path folder_of(const fs::path& file) {
  return file.has_parent_path() ? file.parent_path() : fs::path(".");
}

// Whatever a plan calls its run: as a part of a file's name.
std::string name_of_owner(std::string_view owner) {
  std::string name;
  for (const char c : owner.substr(0, kMostOfOwner)) {
    name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  }
  return name;
}

}  // namespace

fs::path place_before(const fs::path& file, std::string_view owner) {
  fs::path temporary = file;
  temporary += "." + name_of_owner(owner) + ".new";
  return temporary;
}

void remove_before(const fs::path& file, std::string_view owner) {
  for (const char* end : {"", "-journal", "-wal", "-shm"}) {
    fs::path part = place_before(file, owner);
    part += end;
    std::error_code ignored;
    fs::remove(part, ignored);
  }
}

Result<void> move_into_place(const fs::path& temporary, const fs::path& file) {
  const FileHandle handle(::open(temporary.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat old{};
  if (::stat(file.c_str(), &old) == 0 && S_ISREG(old.st_mode)) {
    ::fchmod(handle.get(), old.st_mode & 07777);
  }
  if (!handle.valid() || ::fsync(handle.get()) != 0 ||
      ::rename(temporary.c_str(), file.c_str()) != 0) {
    return std::unexpected(file_error("write", file.string(), errno));
  }
  const FileHandle folder(::open(folder_of(file).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.valid()) ::fsync(folder.get());
  return {};
}

Result<OutputFile> OutputFile::create(const fs::path& file, std::string_view owner) {
  fs::path temporary = place_before(file, owner);
  FileHandle handle(
      ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, kMode));
  if (!handle.valid()) return std::unexpected(file_error("write", file.string(), errno));
  return OutputFile(file, std::move(temporary), std::move(handle));
}

OutputFile::~OutputFile() {
  if (handle_.valid()) ::unlink(temporary_.c_str());
}

Result<void> OutputFile::write(std::string_view bytes) {
  buffer_.append(bytes);
  return buffer_.size() < kBufferBytes ? Result<void>() : flush();
}

Result<void> OutputFile::flush() {
  std::string_view rest = buffer_;
  while (!rest.empty()) {
    const ssize_t size = ::write(handle_.get(), rest.data(), rest.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return std::unexpected(file_error("write", file_.string(), errno));
    rest.remove_prefix(static_cast<std::size_t>(size));
  }
  buffer_.clear();
  return {};
}

Result<void> OutputFile::commit() {
  if (auto flushed = flush(); !flushed) return flushed;
  if (auto moved = move_into_place(temporary_, file_); !moved) return moved;
  handle_ = FileHandle();
  return {};
}

}  // namespace sluice
