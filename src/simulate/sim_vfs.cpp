#include "simulate/sim_vfs.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <atomic>
#include <cstring>
#include <new>
#include <utility>

#include "base/ensure.h"
#include "simulate/sim_locks.h"

namespace sluice {

struct SimVfs::Impl {
  Impl(SimMachine& of, std::string called) : machine(of), name(std::move(called)) {}

  // Whether the process lives on behind this operation.
  bool alive() {
    if (!dead && dies && dies()) dead = true;
    return !dead;
  }

  SimMachine& machine;
  std::string name;
  sqlite3_vfs vfs{};
  std::function<bool()> dies;
  bool dead = false;
  std::uint64_t open_files = 0;
};

namespace {

// What SQLite allocates for an open file; the C++ part behind the C part.
struct OpenFile {
  sqlite3_file base;
  SimVfs::Impl* process;
  SimFilePtr file;
  std::shared_ptr<SimFileLocks> locks;
  std::string name;
  bool delete_on_close;
};

OpenFile& of(sqlite3_file* file) { return *reinterpret_cast<OpenFile*>(file); }
SimVfs::Impl& of(sqlite3_vfs* vfs) { return *static_cast<SimVfs::Impl*>(vfs->pAppData); }

int code(DiskStatus status, int error) {
  switch (status) {
    case DiskStatus::kOk:
      return SQLITE_OK;
    case DiskStatus::kFull:
      return SQLITE_FULL;
    case DiskStatus::kError:
      return error;
  }
  return error;
}

int x_close(sqlite3_file* base) {
  OpenFile& open = of(base);
  open.locks->forget(&open);
  --open.process->open_files;
  if (open.delete_on_close) open.process->machine.disk.remove(open.name, false);
  open.~OpenFile();
  return SQLITE_OK;
}

int x_read(sqlite3_file* base, void* into, int amount, sqlite3_int64 offset) {
  OpenFile& open = of(base);
  if (open.process->dead) return SQLITE_IOERR_READ;
  const std::span<char> span(static_cast<char*>(into), static_cast<std::size_t>(amount));
  std::size_t got = 0;
  const DiskStatus status =
      open.process->machine.disk.read(*open.file, static_cast<std::uint64_t>(offset), span, got);
  if (status != DiskStatus::kOk) return SQLITE_IOERR_READ;
  if (got == span.size()) return SQLITE_OK;
  std::memset(span.data() + got, 0, span.size() - got);
  return SQLITE_IOERR_SHORT_READ;
}

int x_write(sqlite3_file* base, const void* bytes, int amount, sqlite3_int64 offset) {
  OpenFile& open = of(base);
  if (!open.process->alive()) return SQLITE_IOERR_WRITE;
  const std::string_view view(static_cast<const char*>(bytes), static_cast<std::size_t>(amount));
  return code(
      open.process->machine.disk.write(*open.file, static_cast<std::uint64_t>(offset), view),
      SQLITE_IOERR_WRITE);
}

int x_truncate(sqlite3_file* base, sqlite3_int64 size) {
  OpenFile& open = of(base);
  if (!open.process->alive()) return SQLITE_IOERR_TRUNCATE;
  return code(open.process->machine.disk.truncate(*open.file, static_cast<std::uint64_t>(size)),
              SQLITE_IOERR_TRUNCATE);
}

int x_sync(sqlite3_file* base, int) {
  OpenFile& open = of(base);
  if (!open.process->alive()) return SQLITE_IOERR_FSYNC;
  return code(open.process->machine.disk.sync(*open.file), SQLITE_IOERR_FSYNC);
}

int x_file_size(sqlite3_file* base, sqlite3_int64* size) {
  *size = static_cast<sqlite3_int64>(of(base).file->size());
  return SQLITE_OK;
}

int x_lock(sqlite3_file* base, int level) { return of(base).locks->lock(&of(base), level); }

int x_unlock(sqlite3_file* base, int level) {
  of(base).locks->unlock(&of(base), level);
  return SQLITE_OK;
}

int x_check_reserved_lock(sqlite3_file* base, int* reserved) {
  *reserved = of(base).locks->reserved() ? 1 : 0;
  return SQLITE_OK;
}

int x_file_control(sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; }
int x_sector_size(sqlite3_file*) { return static_cast<int>(kSimSectorBytes); }
int x_device_characteristics(sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; }

int x_shm_map(sqlite3_file* base, int region, int bytes, int extend, void volatile** into) {
  OpenFile& open = of(base);
  if (open.process->dead) return SQLITE_IOERR_SHMMAP;
  open.locks->attach(&open);
  *into = open.locks->region(region, bytes, extend != 0);
  return SQLITE_OK;
}

int x_shm_lock(sqlite3_file* base, int first, int count, int flags) {
  return of(base).locks->shm_lock(&of(base), first, count, flags);
}

void x_shm_barrier(sqlite3_file*) {}

int x_shm_unmap(sqlite3_file* base, int) {
  OpenFile& open = of(base);
  open.locks->forget_shm(&open);
  open.locks->detach(&open);
  return SQLITE_OK;
}

const sqlite3_io_methods kMethods = {
    .iVersion = 2,
    .xClose = x_close,
    .xRead = x_read,
    .xWrite = x_write,
    .xTruncate = x_truncate,
    .xSync = x_sync,
    .xFileSize = x_file_size,
    .xLock = x_lock,
    .xUnlock = x_unlock,
    .xCheckReservedLock = x_check_reserved_lock,
    .xFileControl = x_file_control,
    .xSectorSize = x_sector_size,
    .xDeviceCharacteristics = x_device_characteristics,
    .xShmMap = x_shm_map,
    .xShmLock = x_shm_lock,
    .xShmBarrier = x_shm_barrier,
    .xShmUnmap = x_shm_unmap,
    .xFetch = nullptr,
    .xUnfetch = nullptr,
};

int x_open(sqlite3_vfs* vfs, const char* path, sqlite3_file* base, int flags, int* out_flags) {
  base->pMethods = nullptr;
  SimVfs::Impl& process = of(vfs);
  if (process.dead) return SQLITE_CANTOPEN;
  SimDisk& disk = process.machine.disk;
  static std::atomic<std::uint64_t> temporary{0};
  const std::string name = path != nullptr ? path : fmt::format("temporary-{}", ++temporary);
  SimFilePtr file = disk.find(name);
  if (!file) {
    if ((flags & SQLITE_OPEN_CREATE) == 0) return SQLITE_CANTOPEN;
    if (!process.alive()) return SQLITE_CANTOPEN;
    file = disk.open(name);
  }
  auto* open = new (base) OpenFile{.base = {&kMethods},
                                   .process = &process,
                                   .file = std::move(file),
                                   .locks = process.machine.locks->of(name),
                                   .name = name,
                                   .delete_on_close = (flags & SQLITE_OPEN_DELETEONCLOSE) != 0};
  ++process.open_files;
  open->base.pMethods = &kMethods;
  if (out_flags != nullptr) *out_flags = flags;
  return SQLITE_OK;
}

int x_delete(sqlite3_vfs* vfs, const char* path, int sync_directory) {
  SimVfs::Impl& process = of(vfs);
  if (!process.alive()) return SQLITE_IOERR_DELETE;
  if (!process.machine.disk.find(path)) return SQLITE_IOERR_DELETE_NOENT;
  return code(process.machine.disk.remove(path, sync_directory != 0), SQLITE_IOERR_DELETE);
}

int x_access(sqlite3_vfs* vfs, const char* path, int, int* result) {
  *result = of(vfs).machine.disk.find(path) ? 1 : 0;
  return SQLITE_OK;
}

int x_full_pathname(sqlite3_vfs*, const char* path, int room, char* into) {
  sqlite3_snprintf(room, into, "%s", path);
  return SQLITE_OK;
}

// SQLite's own chance and time (salts of the WAL, names of temporary files) must not differ between
// two runs of one seed.
int x_randomness(sqlite3_vfs* vfs, int count, char* into) {
  const std::size_t salt = of(vfs).machine.disk.syncs();
  for (int i = 0; i < count; ++i)
    into[i] = static_cast<char>(salt * 131 + static_cast<unsigned>(i));
  return count;
}

// Nobody else runs while one waits: waiting would be for ever.
int x_sleep(sqlite3_vfs*, int) { return 0; }

int x_current_time_int64(sqlite3_vfs*, sqlite3_int64* now) {
  constexpr sqlite3_int64 kSomeDayMs = 212'000'000'000'000;
  *now = kSomeDayMs;
  return SQLITE_OK;
}
int x_current_time(sqlite3_vfs* vfs, double* now) {
  sqlite3_int64 ms = 0;
  x_current_time_int64(vfs, &ms);
  *now = static_cast<double>(ms) / 86'400'000.0;
  return SQLITE_OK;
}
int x_get_last_error(sqlite3_vfs*, int, char*) { return 0; }

}  // namespace

SimMachine::SimMachine(std::uint64_t seed) : disk(seed), locks(std::make_unique<SimLocks>()) {}
SimMachine::SimMachine(const SimDisk& image, std::uint64_t seed)
    : disk(image, seed), locks(std::make_unique<SimLocks>()) {}
SimMachine::~SimMachine() = default;

void SimMachine::power_cut() {
  disk.power_cut();
  locks->clear();
}

SimVfs::SimVfs(SimMachine& machine) {
  static std::atomic<std::uint64_t> number{0};
  impl_ = std::make_unique<Impl>(machine, fmt::format("sluice-sim-{}", ++number));
  sqlite3_vfs& vfs = impl_->vfs;
  vfs.iVersion = 2;
  vfs.szOsFile = static_cast<int>(sizeof(OpenFile));
  vfs.mxPathname = 256;
  vfs.zName = impl_->name.c_str();
  vfs.pAppData = impl_.get();
  vfs.xOpen = x_open;
  vfs.xDelete = x_delete;
  vfs.xAccess = x_access;
  vfs.xFullPathname = x_full_pathname;
  vfs.xRandomness = x_randomness;
  vfs.xSleep = x_sleep;
  vfs.xCurrentTime = x_current_time;
  vfs.xCurrentTimeInt64 = x_current_time_int64;
  vfs.xGetLastError = x_get_last_error;
  SLUICE_ENSURE(sqlite3_vfs_register(&vfs, 0) == SQLITE_OK, "the simulator's files need SQLite");
}

SimVfs::~SimVfs() {
  SLUICE_ENSURE(impl_->open_files == 0, "a connection outlives its simulated process");
  sqlite3_vfs_unregister(&impl_->vfs);
}

const std::string& SimVfs::name() const { return impl_->name; }
void SimVfs::on_operation(std::function<bool()> dies) { impl_->dies = std::move(dies); }
void SimVfs::die() { impl_->dead = true; }
bool SimVfs::dead() const { return impl_->dead; }
std::uint64_t SimVfs::open_files() const { return impl_->open_files; }

}  // namespace sluice
