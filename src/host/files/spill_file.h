// SpillFile: an append-only file without a name, for bytes that are read back by offset. Made on
// first use; the operating system frees it when it is closed, also after a crash. One thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sluice {

class SpillFile {
 public:
  explicit SpillFile(std::filesystem::path directory) : directory_(std::move(directory)) {}
  ~SpillFile();
  SpillFile(const SpillFile&) = delete;
  SpillFile& operator=(const SpillFile&) = delete;

  Result<std::uint64_t> append(std::string_view bytes);  // its offset; kDiskFull, kIo
  Result<std::string> read(std::uint64_t offset, std::size_t size) const;
  std::uint64_t size() const { return size_; }

 private:
  Result<void> open();
  std::filesystem::path directory_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

}  // namespace sluice
