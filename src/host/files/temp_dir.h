// TempDir: a folder of our own for the life of the process, removed when this goes. One owner.
#pragma once

#include <filesystem>

#include "base/error.h"

namespace sluice {

class TempDir {
 public:
  // Below $TMPDIR, else /tmp. kIo with what to do when that cannot be written.
  static Result<TempDir> make();
  ~TempDir() { remove(); }
  TempDir(TempDir&& other) noexcept : path_(std::move(other.path_)) { other.path_.clear(); }
  TempDir& operator=(TempDir&&) = delete;

  const std::filesystem::path& path() const { return path_; }
  void remove();  // at once; for the ways out that run no destructors

 private:
  explicit TempDir(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

}  // namespace sluice
