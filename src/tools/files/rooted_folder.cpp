#include "tools/files/rooted_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "data/hash.h"
#include "data/json.h"

namespace sluice {
namespace {

std::string shown(std::string_view path) {
  return valid_utf8(path) ? preview(Value::string(path)) : "(not UTF-8)";
}

// Removes a temporary file unless it became the real one.
class TemporaryFile {
 public:
  TemporaryFile(int folder, std::string name) : folder_(folder), name_(std::move(name)) {}
  ~TemporaryFile() {
    if (!kept_) ::unlinkat(folder_, name_.c_str(), 0);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const char* name() const { return name_.c_str(); }
  void keep() { kept_ = true; }

 private:
  int folder_;
  std::string name_;
  bool kept_ = false;
};

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

// The name may have up to 255 bytes; what identifies it is the call's key, so that a call that is
// made again finds what its killed process left. Without a key it is the process and a number.
std::string temporary_name(const std::string& name, std::string_view key) {
  static std::atomic<std::uint64_t> count{0};
  constexpr std::size_t kKeyDigits = 24;
  const std::string start = fmt::format(".{}.sluice-", name.substr(0, 180));
  if (key.empty()) return fmt::format("{}{}-{}", start, ::getpid(), ++count);
  return start + sha256(key).hex().substr(0, kKeyDigits);
}

}  // namespace

FileHandle& FileHandle::operator=(FileHandle&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = other.release();
  }
  return *this;
}

FileHandle::~FileHandle() {
  if (fd_ >= 0) ::close(fd_);
}

Error file_error(std::string_view what, std::string_view path, int error) {
  std::string name = shown(path);
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return {ErrorCode::kFileMissing,
              fmt::format("cannot {} {}: there is no such file", what, name)};
    case EXDEV:
    case ELOOP:
      return {ErrorCode::kFileDenied,
              fmt::format("cannot {} {}: it leads out of the tool's root", what, name)};
    case EACCES:
    case EPERM:
    case EROFS:
      return {ErrorCode::kFileDenied,
              fmt::format("cannot {} {}: {}", what, name, std::generic_category().message(error))};
    case EISDIR:
      return {ErrorCode::kFileDenied, fmt::format("cannot {} {}: it is a folder", what, name)};
    case ENAMETOOLONG:
      return {ErrorCode::kArgInvalid,
              fmt::format("cannot {} {}: the name is too long", what, name)};
    case ENOSPC:
    case EDQUOT:
      return {ErrorCode::kDiskFull, fmt::format("cannot {} {}: no space is left", what, name)};
    default:
      return {ErrorCode::kIo,
              fmt::format("cannot {} {}: {}", what, name, std::generic_category().message(error))};
  }
}

Result<std::shared_ptr<RootedFolder>> RootedFolder::open(const std::filesystem::path& root) {
  FileHandle handle(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  std::error_code failed;
  auto real = std::filesystem::canonical(root, failed);
  if (!handle.valid() || failed) {
    return fail(ErrorCode::kToolStart,
                fmt::format("root {} is not a folder that can be opened: {}", root.string(),
                            failed ? failed.message() : std::generic_category().message(errno)));
  }
  return std::shared_ptr<RootedFolder>(new RootedFolder(std::move(real), std::move(handle)));
}

int RootedFolder::open_beneath(const std::string& path, int flags, mode_t mode) const {
  static std::atomic<bool> kernel_knows{true};
  if (kernel_knows) {
    struct open_how how{};
    how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
    how.mode = mode;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    for (int tries = 0; tries < 16; ++tries) {
      long fd = ::syscall(SYS_openat2, handle_.get(), path.c_str(), &how, sizeof how);
      if (fd >= 0) return static_cast<int>(fd);
      if (errno != EAGAIN && errno != EINTR) break;  // EAGAIN: a rename raced with the look-up
    }
    if (errno != ENOSYS) return -1;
    kernel_knows = false;
  }
  return open_by_realpath(path, flags, mode);
}

// For kernels before 5.6: resolve first, then open what was resolved without following a link.
int RootedFolder::open_by_realpath(const std::string& path, int flags, mode_t mode) const {
  std::error_code failed;
  auto real = std::filesystem::weakly_canonical(root_ / path, failed);
  if (failed) {
    errno = failed.value();
    return -1;
  }
  auto [root_end, ignored] = std::mismatch(root_.begin(), root_.end(), real.begin(), real.end());
  if (root_end != root_.end()) {
    errno = EXDEV;
    return -1;
  }
  return ::open(real.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, mode);
}

Result<FileHandle> RootedFolder::open_file(const std::string& path, int flags, mode_t mode) const {
  if (path.contains('\0')) return fail(ErrorCode::kArgInvalid, "a path has a zero byte");
  if (path.starts_with('/')) {
    return fail(ErrorCode::kFileDenied,
                fmt::format("cannot open {}: paths are relative to the tool's root", shown(path)));
  }
  FileHandle handle(open_beneath(path.empty() ? "." : path, flags, mode));
  if (!handle.valid()) return std::unexpected(file_error("open", path, errno));
  return handle;
}

Result<FileHandle> RootedFolder::open_regular(const std::string& path) const {
  auto handle = open_file(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!handle) return handle;
  struct stat status{};
  if (::fstat(handle->get(), &status) != 0) {
    return std::unexpected(file_error("open", path, errno));
  }
  if (S_ISDIR(status.st_mode)) return std::unexpected(file_error("read", path, EISDIR));
  if (!S_ISREG(status.st_mode)) {
    return fail(ErrorCode::kFileDenied,
                fmt::format("cannot read {}: it is a pipe, socket or device", shown(path)));
  }
  return handle;
}

Result<void> RootedFolder::make_folders(const std::string& path) const {
  for (std::size_t slash = path.find('/'); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    std::string folder = path.substr(0, slash);
    if (open_file(folder, O_PATH | O_DIRECTORY)) continue;
    std::size_t cut = folder.rfind('/');
    std::string name = cut == std::string::npos ? folder : folder.substr(cut + 1);
    auto parent =
        open_file(cut == std::string::npos ? "" : folder.substr(0, cut), O_PATH | O_DIRECTORY);
    if (!parent) return std::unexpected(parent.error());
    if (::mkdirat(parent->get(), name.c_str(), 0777) != 0 && errno != EEXIST) {
      return std::unexpected(file_error("make the folder", folder, errno));
    }
  }
  return {};
}

Result<void> RootedFolder::write(const std::string& path, std::string_view bytes,
                                 std::string_view key) const {
  std::size_t slash = path.rfind('/');
  std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (name.empty() || name == "." || name == "..") {
    return std::unexpected(file_error("write", path, EISDIR));
  }
  if (path.starts_with('/') || path.contains('\0')) {
    return std::unexpected(open_file(path, O_PATH).error());
  }
  if (auto made = make_folders(path); !made) return made;
  auto folder =
      open_file(slash == std::string::npos ? "" : path.substr(0, slash), O_RDONLY | O_DIRECTORY);
  if (!folder) return std::unexpected(folder.error());

  mode_t mode = 0666;
  struct stat old{};
  bool exists = ::fstatat(folder->get(), name.c_str(), &old, AT_SYMLINK_NOFOLLOW) == 0;
  if (exists && S_ISDIR(old.st_mode)) return std::unexpected(file_error("write", path, EISDIR));
  TemporaryFile temporary(folder->get(), temporary_name(name, key));
  ::unlinkat(folder->get(), temporary.name(), 0);
  FileHandle file(::openat(folder->get(), temporary.name(),
                           O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
  if (!file.valid()) return std::unexpected(file_error("write", path, errno));
  if (exists && S_ISREG(old.st_mode)) ::fchmod(file.get(), old.st_mode & 07777);
  if (!write_all(file.get(), bytes) || ::fsync(file.get()) != 0 ||
      ::renameat(folder->get(), temporary.name(), folder->get(), name.c_str()) != 0) {
    return std::unexpected(file_error("write", path, errno));
  }
  temporary.keep();
  ::fsync(folder->get());
  return {};
}

}  // namespace sluice
