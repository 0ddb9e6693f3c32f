#include "tools/table/byte_source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "data/value.h"
#include "tools/files/rooted_folder.h"

namespace sluice {
namespace {

using namespace std::string_view_literals;

constexpr std::size_t kPieceBytes = 1 << 18;

class FileSource final : public ByteSource {
 public:
  FileSource(FileHandle file, std::string name)
      : file_(std::move(file)), name_(std::move(name)), buffer_(kPieceBytes, '\0') {}

  Result<std::string_view> next() override {
    while (true) {
      const ssize_t size = ::read(file_.get(), buffer_.data(), buffer_.size());
      if (size < 0 && errno == EINTR) continue;
      if (size < 0) return std::unexpected(file_error("read", name_, errno));
      return std::string_view(buffer_.data(), static_cast<std::size_t>(size));
    }
  }

 private:
  FileHandle file_;
  std::string name_;
  std::string buffer_;
};

class TextSource final : public ByteSource {
 public:
  explicit TextSource(std::string_view text) : rest_(text) {}
  Result<std::string_view> next() override { return std::exchange(rest_, {}); }

 private:
  std::string_view rest_;
};

// Files that are no text, by how they begin, and what to do about each.
struct Beginning {
  std::string_view bytes;
  std::string_view words;
};
constexpr Beginning kNoText[] = {
    {"\xFF\xFE"sv, "the file is UTF-16 text; turn it into UTF-8 with: iconv -f utf-16 -t utf-8"},
    {"\xFE\xFF"sv, "the file is UTF-16 text; turn it into UTF-8 with: iconv -f utf-16 -t utf-8"},
    {"SQLite format 3\0"sv, "the file is an SQLite database; state its format, sqlite"},
    {"\x1F\x8B"sv, "the file is packed with gzip; unpack it with: gunzip"},
    {"\x28\xB5\x2F\xFD"sv, "the file is packed with zstd; unpack it with: zstd -d"},
    {"PK\x03\x04"sv,
     "the file is a zip archive, as spreadsheets are; unpack it, or save the sheet as CSV in "
     "UTF-8"},
    {"PAR1\x15"sv, "the file is a Parquet table; turn it into CSV or JSON Lines"}};

// Without a mark: no table begins with a NUL, nor has one behind its first character.
std::string_view unmarked_utf16(std::string_view first) {
  if (first.size() < 4 || (first[0] != 0) == (first[1] != 0)) return "";
  return first[0] == 0 ? "utf-16be" : "utf-16le";
}

// " behind 'Caf'": so that a person finds the place.
std::string words_before(std::string_view text) {
  constexpr std::size_t kMostBytes = 16;
  if (const std::size_t end = text.rfind('\n'); end != std::string_view::npos) {
    text.remove_prefix(end + 1);
  }
  if (text.size() > kMostBytes) text.remove_prefix(text.size() - kMostBytes);
  while (!text.empty() && (static_cast<unsigned char>(text.front()) & 0xC0) == 0x80) {
    text.remove_prefix(1);
  }
  return text.empty() ? "" : fmt::format(" behind '{}'", text);
}

}  // namespace

Result<std::unique_ptr<ByteSource>> ByteSource::of_file(const std::filesystem::path& file) {
  const std::string name = file.string();
  // Never waits for a writer of a pipe that nobody opens.
  FileHandle handle(::open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!handle.valid()) return std::unexpected(file_error("read", name, errno));
  struct stat status{};
  if (::fstat(handle.get(), &status) != 0) {
    return std::unexpected(file_error("read", name, errno));
  }
  if (S_ISDIR(status.st_mode)) return std::unexpected(file_error("read", name, EISDIR));
  if (!S_ISREG(status.st_mode)) {
    return fail(ErrorCode::kFileDenied,
                fmt::format("{} is no regular file; a table is read again when its run resumes, so "
                            "write it to a file first",
                            name));
  }
  ::posix_fadvise(handle.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  return std::make_unique<FileSource>(std::move(handle), name);
}

std::unique_ptr<ByteSource> ByteSource::of_text(std::string_view text) {
  return std::make_unique<TextSource>(text);
}

Result<std::string_view> without_byte_order_mark(std::string_view first) {
  if (first.starts_with("\xEF\xBB\xBF")) return first.substr(3);
  for (const Beginning& other : kNoText) {
    if (first.starts_with(other.bytes))
      return fail(ErrorCode::kTableInvalid, std::string(other.words));
  }
  if (const std::string_view encoding = unmarked_utf16(first); !encoding.empty()) {
    return fail(
        ErrorCode::kTableInvalid,
        fmt::format("the file is UTF-16 text; turn it into UTF-8 with: iconv -f {} -t utf-8",
                    encoding));
  }
  return first;
}

Result<void> check_utf8(std::string_view text, std::uint64_t line) {
  const std::size_t valid = utf8_valid_prefix(text);
  if (valid == text.size()) return {};
  const std::string_view before = text.substr(0, valid);
  line += static_cast<std::uint64_t>(std::ranges::count(before, '\n'));
  return fail(ErrorCode::kTableInvalid,
              fmt::format("line {} is not UTF-8 text: it has the byte 0x{:02X}{}; turn the file "
                          "into UTF-8, of old Western text with: iconv -f latin1 -t utf-8",
                          line, static_cast<unsigned char>(text[valid]), words_before(before)));
}

}  // namespace sluice
