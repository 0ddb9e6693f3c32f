// A SQLite VFS over the system's that counts syncs and fails on demand. One per program; the test
// that uses it turns its knobs from one thread.
#pragma once

#include <atomic>
#include <string>

namespace sluice::testing_contract {

struct DiskTrouble {
  std::atomic<long> syncs = 0;
  std::atomic<long> writes = 0;
  std::atomic<int> write_fails = 0;       // SQLite's code, e.g. SQLITE_FULL; 0: none
  std::atomic<int> sync_fails = 0;        // e.g. SQLITE_IOERR_FSYNC
  std::atomic<long> writes_until_it = 0;  // that many writes still succeed

  void reset();
};

DiskTrouble& disk_trouble();
// Registers the VFS on first use; its name for SqliteStoreOptions::vfs.
std::string watched_vfs();

}  // namespace sluice::testing_contract
