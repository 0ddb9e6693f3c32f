#include "tests/journal/watched_vfs.h"

#include <sqlite3.h>

#include <cstddef>

namespace sluice::testing_contract {
namespace {

struct WatchedFile {
  sqlite3_file base;
  // The system's file lies behind this in the same block.
  sqlite3_file* inner() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

WatchedFile* watched(sqlite3_file* file) { return reinterpret_cast<WatchedFile*>(file); }
sqlite3_file* inner(sqlite3_file* file) { return watched(file)->inner(); }

int close_file(sqlite3_file* file) { return inner(file)->pMethods->xClose(inner(file)); }
int read_file(sqlite3_file* file, void* out, int size, sqlite3_int64 at) {
  return inner(file)->pMethods->xRead(inner(file), out, size, at);
}
int write_file(sqlite3_file* file, const void* bytes, int size, sqlite3_int64 at) {
  DiskTrouble& disk = disk_trouble();
  ++disk.writes;
  if (disk.write_fails != 0 && disk.writes_until_it-- <= 0) return disk.write_fails;
  return inner(file)->pMethods->xWrite(inner(file), bytes, size, at);
}
int truncate_file(sqlite3_file* file, sqlite3_int64 size) {
  return inner(file)->pMethods->xTruncate(inner(file), size);
}
int sync_file(sqlite3_file* file, int flags) {
  DiskTrouble& disk = disk_trouble();
  ++disk.syncs;
  if (disk.sync_fails != 0) return disk.sync_fails;
  return inner(file)->pMethods->xSync(inner(file), flags);
}
int file_size(sqlite3_file* file, sqlite3_int64* size) {
  return inner(file)->pMethods->xFileSize(inner(file), size);
}
int lock_file(sqlite3_file* file, int level) {
  return inner(file)->pMethods->xLock(inner(file), level);
}
int unlock_file(sqlite3_file* file, int level) {
  return inner(file)->pMethods->xUnlock(inner(file), level);
}
int check_lock(sqlite3_file* file, int* out) {
  return inner(file)->pMethods->xCheckReservedLock(inner(file), out);
}
int control(sqlite3_file* file, int what, void* with) {
  return inner(file)->pMethods->xFileControl(inner(file), what, with);
}
int sector(sqlite3_file* file) { return inner(file)->pMethods->xSectorSize(inner(file)); }
int traits(sqlite3_file* file) {
  return inner(file)->pMethods->xDeviceCharacteristics(inner(file));
}
int map_shared(sqlite3_file* file, int page, int size, int extend, void volatile** out) {
  return inner(file)->pMethods->xShmMap(inner(file), page, size, extend, out);
}
int lock_shared(sqlite3_file* file, int from, int count, int flags) {
  return inner(file)->pMethods->xShmLock(inner(file), from, count, flags);
}
void barrier(sqlite3_file* file) { inner(file)->pMethods->xShmBarrier(inner(file)); }
int unmap_shared(sqlite3_file* file, int remove) {
  return inner(file)->pMethods->xShmUnmap(inner(file), remove);
}

const sqlite3_io_methods kMethods = {
    .iVersion = 2,
    .xClose = close_file,
    .xRead = read_file,
    .xWrite = write_file,
    .xTruncate = truncate_file,
    .xSync = sync_file,
    .xFileSize = file_size,
    .xLock = lock_file,
    .xUnlock = unlock_file,
    .xCheckReservedLock = check_lock,
    .xFileControl = control,
    .xSectorSize = sector,
    .xDeviceCharacteristics = traits,
    .xShmMap = map_shared,
    .xShmLock = lock_shared,
    .xShmBarrier = barrier,
    .xShmUnmap = unmap_shared,
    .xFetch = nullptr,
    .xUnfetch = nullptr,
};

int open_file(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out) {
  auto* system = static_cast<sqlite3_vfs*>(vfs->pAppData);
  watched(file)->base.pMethods = nullptr;
  const int code = system->xOpen(system, name, inner(file), flags, out);
  if (inner(file)->pMethods != nullptr) watched(file)->base.pMethods = &kMethods;
  return code;
}

}  // namespace

void DiskTrouble::reset() {
  syncs = 0;
  writes = 0;
  write_fails = 0;
  sync_fails = 0;
  writes_until_it = 0;
}

DiskTrouble& disk_trouble() {
  static DiskTrouble trouble;
  return trouble;
}

std::string watched_vfs() {
  static sqlite3_vfs vfs = [] {
    sqlite3_vfs* system = sqlite3_vfs_find(nullptr);
    sqlite3_vfs copy = *system;
    copy.szOsFile = system->szOsFile + static_cast<int>(sizeof(WatchedFile));
    copy.zName = "watched";
    copy.pAppData = system;
    copy.xOpen = open_file;
    return copy;
  }();
  static const int registered = sqlite3_vfs_register(&vfs, 0);
  return registered == SQLITE_OK ? "watched" : "";
}

}  // namespace sluice::testing_contract
