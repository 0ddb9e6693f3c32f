// The file locks and the WAL's shared memory of a simulated machine. Inside of simulate/. One
// thread.
#pragma once

#include <sqlite3.h>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace sluice {

// One database file's locks, by holder (an open file handle).
class SimFileLocks {
 public:
  using Holder = const void*;

  // SQLITE_OK or SQLITE_BUSY.
  int lock(Holder holder, int level);
  void unlock(Holder holder, int level);
  bool reserved() const;

  // The WAL index.
  int shm_lock(Holder holder, int first, int count, int flags);
  void* region(int number, int bytes, bool extend);
  void forget(Holder holder);
  void forget_shm(Holder holder);
  void drop_shm() { regions_.clear(); }
  void attach(Holder holder) { attached_[holder] = true; }
  // True when it was the last.
  bool detach(Holder holder);

 private:
  struct Slot {
    std::map<Holder, int> shared;
    Holder exclusive = nullptr;
  };
  std::map<Holder, int> levels_;
  std::array<Slot, SQLITE_SHM_NLOCK> slots_;
  std::vector<std::unique_ptr<char[]>> regions_;
  std::map<Holder, bool> attached_;
};

class SimLocks {
 public:
  std::shared_ptr<SimFileLocks> of(const std::string& name);
  void clear() { files_.clear(); }

 private:
  std::map<std::string, std::shared_ptr<SimFileLocks>> files_;
};

}  // namespace sluice
