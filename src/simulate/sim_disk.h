// SimDisk: a disk in memory that keeps its promises and no others. What was written is seen at once
// by whoever reads; only what was synced survives a power cut. What was not may be kept, lost, or
// torn at sectors, each write by itself, so that a later one may survive an earlier one. Faults on
// order: no room, errors of reading, writing and syncing. Used by the simulator's SQLite VFS. One
// thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"

namespace sluice {

inline constexpr std::size_t kSimSectorBytes = 512;

enum class DiskStatus : std::uint8_t { kOk, kFull, kError };

// What may go wrong, as probabilities of one operation.
struct DiskFaults {
  double write_error = 0;
  double sync_error = 0;
  double read_error = 0;
  std::uint64_t room_bytes = UINT64_MAX;  // of all files together
};

class SimFile {
 public:
  std::uint64_t size() const { return seen_.size(); }
  std::string_view bytes() const { return seen_; }
  bool has_unsynced() const { return !pending_.empty() || seen_.size() != kept_.size(); }

 private:
  friend class SimDisk;
  struct Pending {
    std::uint64_t offset = 0;
    std::string bytes;
    bool truncates = false;  // to `offset` bytes
  };
  void apply(std::string& image, const Pending& change) const;

  std::string seen_;              // what reads give
  std::string kept_;              // what is on the platter
  std::vector<Pending> pending_;  // written since the last sync, in order
  bool named_ = false;            // its directory entry is on the platter
};
using SimFilePtr = std::shared_ptr<SimFile>;

class SimDisk {
 public:
  explicit SimDisk(std::uint64_t seed) : random_(seed) {}
  // An exact copy, as of a disk image; the seed is the copy's own.
  SimDisk(const SimDisk& image, std::uint64_t seed);
  SimDisk(const SimDisk&) = delete;
  SimDisk& operator=(const SimDisk&) = delete;

  SimFilePtr find(std::string_view name) const;  // null: no such file
  SimFilePtr open(std::string_view name);        // makes it
  // `now`: the directory is synced too; else the file may come back after a power cut, until
  // anything is synced: file systems with a journal (ext4, xfs) write their own changes down in
  // order.
  DiskStatus remove(std::string_view name, bool now);

  // Short reads give what there is; `got` says how much.
  DiskStatus read(const SimFile& file, std::uint64_t offset, std::span<char> into,
                  std::size_t& got);
  DiskStatus write(SimFile& file, std::uint64_t offset, std::string_view bytes);
  DiskStatus truncate(SimFile& file, std::uint64_t bytes);
  // After an error nobody knows what of the unsynced reached the platter, and a later sync does not
  // make up for it.
  DiskStatus sync(SimFile& file);

  // The power goes: every file is what the platter has. Files that are open go on with it.
  void power_cut();
  // The same, but all unsynced writes are lost: the harshest disk.
  void lose_all_unsynced();

  // Some bits of a file are not what they were; where it holds something.
  void rot(std::string_view name, int bits);

  DiskFaults faults;
  std::uint64_t used_bytes() const;
  std::uint64_t syncs() const { return syncs_; }
  std::uint64_t faults_met() const { return faults_met_; }

 private:
  bool chance(double probability);
  DiskStatus fault(DiskStatus status) {
    ++faults_met_;
    return status;
  }
  void settle(SimFile& file, const SimFile::Pending& change);
  void after_cut();

  Random random_;
  std::map<std::string, SimFilePtr, std::less<>> files_;
  std::map<std::string, SimFilePtr, std::less<>> removed_;  // may come back
  std::uint64_t syncs_ = 0;
  std::uint64_t faults_met_ = 0;
};

}  // namespace sluice
