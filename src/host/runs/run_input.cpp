#include "host/runs/run_input.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <string_view>

#include "data/hash.h"

namespace sluice {
namespace {

constexpr std::size_t kPieceBytes = 1 << 20;

struct Descriptor {
  int number = -1;
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
};

std::unexpected<Error> unreadable(const std::filesystem::path& file, int reason) {
  return fail(ErrorCode::kFileUnreadable,
              fmt::format("cannot read {}: {}", file.string(), std::strerror(reason)));
}

Result<void> add_bytes(const Descriptor& open, const std::filesystem::path& file, Hasher& hasher,
                       std::uint64_t& bytes) {
  std::string buffer(kPieceBytes, '\0');
  while (true) {
    const ssize_t size = ::read(open.number, buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return unreadable(file, errno);
    if (size == 0) return {};
    bytes += static_cast<std::uint64_t>(size);
    hasher.bytes(std::string_view(buffer.data(), static_cast<std::size_t>(size)));
  }
}

// Of a SQLite database: what was written and is not in the file itself yet.
Result<void> add_write_ahead_log(const std::filesystem::path& file, Hasher& hasher,
                                 std::uint64_t& bytes) {
  std::filesystem::path log = file;
  log += "-wal";
  const Descriptor open{::open(log.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  struct stat status{};
  const bool there =
      open.number >= 0 && ::fstat(open.number, &status) == 0 && S_ISREG(status.st_mode);
  return there ? add_bytes(open, log, hasher, bytes) : Result<void>();
}

std::string text_member(const Value& value, std::string_view key) {
  const Value* member = value.find(key);
  return member != nullptr && member->is_string() ? std::string(member->as_string()) : "";
}

}  // namespace

Result<RunInput> look_at_input(const std::filesystem::path& file) {
  std::error_code ignored;
  RunInput input;
  input.path = std::filesystem::absolute(file, ignored).lexically_normal().string();
  const Descriptor open{::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (open.number < 0) return unreadable(file, errno);
  struct stat status{};
  if (::fstat(open.number, &status) == 0 && !S_ISREG(status.st_mode)) {
    return fail(ErrorCode::kFileUnreadable,
                fmt::format("{} is no regular file; it is read again when the run resumes, so "
                            "write it to a file first",
                            file.string()));
  }
  Hasher hasher;
  if (auto read = add_bytes(open, file, hasher, input.bytes); !read) {
    return std::unexpected(read.error());
  }
  if (auto read = add_write_ahead_log(file, hasher, input.bytes); !read) {
    return std::unexpected(read.error());
  }
  input.sha256 = hasher.finish().hex();
  return input;
}

std::vector<std::string> changed_inputs(const std::vector<RunInput>& before) {
  std::vector<std::string> found;
  for (const RunInput& was : before) {
    auto now = look_at_input(was.path);
    if (!now) {
      found.push_back(fmt::format("its input is gone: {}", now.error().message()));
    } else if (now->bytes != was.bytes) {
      found.push_back(
          fmt::format("its input {} had {} bytes and has {} now", was.path, was.bytes, now->bytes));
    } else if (now->sha256 != was.sha256) {
      found.push_back(
          fmt::format("its input {} has other bytes than it had (SHA-256 {:.12} then, "
                      "{:.12} now)",
                      was.path, was.sha256, now->sha256));
    }
  }
  return found;
}

Value encode_inputs(const std::vector<RunInput>& inputs) {
  std::vector<Value> items;
  for (const RunInput& input : inputs) {
    items.push_back(
        Value::object({{"path", Value::from_utf8(input.path).value_or(Value::string(""))},
                       {"bytes", Value::string(std::to_string(input.bytes))},
                       {"sha256", Value::from_utf8(input.sha256).value_or(Value::string(""))}}));
  }
  return Value::array(std::move(items));
}

std::vector<RunInput> decode_inputs(const Value* inputs) {
  std::vector<RunInput> decoded;
  if (inputs == nullptr || !inputs->is_array()) return decoded;
  for (const Value& item : inputs->items()) {
    RunInput input;
    input.path = text_member(item, "path");
    input.sha256 = text_member(item, "sha256");
    const std::string bytes = text_member(item, "bytes");
    std::from_chars(bytes.data(), bytes.data() + bytes.size(), input.bytes);
    decoded.push_back(std::move(input));
  }
  return decoded;
}

}  // namespace sluice
