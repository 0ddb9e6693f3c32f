// RunLocks: who owns a run, told by a locked byte per run in one file beside the store. The system
// frees the locks when their process dies, however it dies. They belong to the open file (OFD
// locks), so two stores within one process exclude each other too. Any thread, one at a time.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <utility>

#include "base/error.h"

namespace sluice {

class RunLocks {
 public:
  explicit RunLocks(std::string path) : path_(std::move(path)) {}
  ~RunLocks();  // frees all
  RunLocks(const RunLocks&) = delete;
  RunLocks& operator=(const RunLocks&) = delete;

  // False: somebody, this object included, has it. kIo.
  Result<bool> take(std::int64_t run);
  void release(std::int64_t run);

 private:
  std::string path_;
  int file_ = -1;
  std::set<std::int64_t> held_;
};

// Which runs have a live owner, seen from outside. What cannot be found out is an error: nobody
// counts as dead because a file could not be opened.
class LockView {
 public:
  // No file: nobody ever had a lock. kIo.
  static Result<LockView> open(const std::string& path);
  ~LockView();
  LockView(LockView&& other) noexcept
      : path_(std::move(other.path_)), file_(std::exchange(other.file_, -1)) {}
  LockView& operator=(LockView&&) = delete;
  Result<bool> locked(std::int64_t run) const;  // kIo

 private:
  explicit LockView(std::string path) : path_(std::move(path)) {}

  std::string path_;
  int file_ = -1;  // -1: nobody has any
};

}  // namespace sluice
