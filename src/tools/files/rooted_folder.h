// A folder that nothing leaves: every path is resolved below it by the kernel (openat2), symbolic
// links included, so that no check can be raced. Blocking; any thread; immutable once open.
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sluice {

// An open file descriptor.
class FileHandle {
 public:
  explicit FileHandle(int fd = -1) : fd_(fd) {}
  FileHandle(FileHandle&& other) noexcept : fd_(other.release()) {}
  FileHandle& operator=(FileHandle&& other) noexcept;
  ~FileHandle();
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int release() {
    int fd = fd_;
    fd_ = -1;
    return fd;
  }

 private:
  int fd_;
};

class RootedFolder {
 public:
  // kToolStart when it is not a folder that can be opened.
  static Result<std::shared_ptr<RootedFolder>> open(const std::filesystem::path& root);

  // `flags` as for open(2). kFileMissing, kFileDenied, kIo.
  Result<FileHandle> open_file(const std::string& path, int flags, mode_t mode = 0) const;
  // Only regular files: a pipe or device could hang, and a folder has no content.
  Result<FileHandle> open_regular(const std::string& path) const;
  // Replaces the file as a whole: a new one is written beside it, made durable and renamed over
  // it. Missing folders in between are made. `key`: of the call; one that is made again cleans up
  // after the process that was killed in the middle of it.
  Result<void> write(const std::string& path, std::string_view bytes, std::string_view key) const;

  const std::filesystem::path& root() const { return root_; }

 private:
  RootedFolder(std::filesystem::path root, FileHandle handle)
      : root_(std::move(root)), handle_(std::move(handle)) {}
  int open_beneath(const std::string& path, int flags, mode_t mode) const;
  int open_by_realpath(const std::string& path, int flags, mode_t mode) const;
  Result<void> make_folders(const std::string& path) const;

  std::filesystem::path root_;
  FileHandle handle_;
};

// The error of a file operation, from errno.
Error file_error(std::string_view what, std::string_view path, int error);

}  // namespace sluice
