#include "journal/run_locks.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace sluice {
namespace {

struct flock byte_of(std::int64_t run, short type) {
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = run;
  lock.l_len = 1;
  return lock;
}

std::unexpected<Error> cannot_see(const std::string& path, int number) {
  return fail(
      ErrorCode::kIo,
      fmt::format("cannot see in {} which runs have a live owner: {}; see that it is a file "
                  "you may read and write",
                  path, std::strerror(number)));
}

}  // namespace

RunLocks::~RunLocks() {
  if (file_ >= 0) close(file_);
}

Result<bool> RunLocks::take(std::int64_t run) {
  if (held_.contains(run)) return false;
  if (file_ < 0) file_ = open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  struct flock lock = byte_of(run, F_WRLCK);
  if (file_ >= 0 && fcntl(file_, F_OFD_SETLK, &lock) == 0) {
    held_.insert(run);
    return true;
  }
  const int number = errno;
  if (file_ >= 0 && (number == EAGAIN || number == EACCES)) return false;
  return fail(number == ENOSPC ? ErrorCode::kDiskFull : ErrorCode::kIo,
              fmt::format("cannot lock {}: {}", path_, std::strerror(number)));
}

void RunLocks::release(std::int64_t run) {
  if (held_.erase(run) == 0) return;
  struct flock lock = byte_of(run, F_UNLCK);
  fcntl(file_, F_OFD_SETLK, &lock);
}

Result<LockView> LockView::open(const std::string& path) {
  LockView view(path);
  if (path.empty()) return view;
  view.file_ = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (view.file_ < 0 && errno == ENOENT) return view;
  // Most often nobody has any: then one question is enough.
  struct flock any = byte_of(0, F_WRLCK);
  any.l_len = 0;  // up to the end of all
  if (view.file_ < 0 || fcntl(view.file_, F_OFD_GETLK, &any) != 0) return cannot_see(path, errno);
  if (any.l_type != F_UNLCK) return view;
  close(view.file_);
  view.file_ = -1;
  return view;
}

LockView::~LockView() {
  if (file_ >= 0) close(file_);
}

Result<bool> LockView::locked(std::int64_t run) const {
  if (file_ < 0) return false;
  struct flock lock = byte_of(run, F_WRLCK);
  if (fcntl(file_, F_OFD_GETLK, &lock) != 0) return cannot_see(path_, errno);
  return lock.l_type != F_UNLCK;
}

}  // namespace sluice
