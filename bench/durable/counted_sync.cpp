#include "bench/durable/counted_sync.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

namespace {
std::atomic<std::uint64_t> syncs{0};
}  // namespace

// The program's own symbols come before those of the C library, also for the libraries that it
// loads.
extern "C" {
int fdatasync(int fd) {
  syncs.fetch_add(1, std::memory_order_relaxed);
  return static_cast<int>(syscall(SYS_fdatasync, fd));
}
int fsync(int fd) {
  syncs.fetch_add(1, std::memory_order_relaxed);
  return static_cast<int>(syscall(SYS_fsync, fd));
}
}

namespace sluice::bench {

std::uint64_t syncs_so_far() { return syncs.load(); }

}  // namespace sluice::bench
