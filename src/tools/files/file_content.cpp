#include "tools/files/file_content.h"

#include <fmt/format.h>
#include <unistd.h>
#include <zlib.h>

#include <array>
#include <cerrno>
#include <memory>

namespace sluice {
namespace {

constexpr std::size_t kChunkBytes = 65536;
constexpr int kGzipWindowBits = 15 + 16;  // 16: gzip framing

// Takes bytes until one of the limits is met.
class Content {
 public:
  Content(const std::string& name, const ReadLimits& limits) : name_(name), limits_(limits) {}

  Result<void> add(std::string_view bytes) {
    if (limits_.head_bytes > 0 && text_.size() + bytes.size() >= limits_.head_bytes) {
      bytes = bytes.substr(0, limits_.head_bytes - text_.size());
      full_ = true;
    }
    text_.append(bytes);
    if (limits_.max_bytes > 0 && text_.size() > limits_.max_bytes) {
      return fail(ErrorCode::kToolTooLarge,
                  fmt::format("{} holds more than {} bytes; raise max_bytes of the tool, or pass "
                              "max_bytes for its beginning",
                              name_, limits_.max_bytes));
    }
    return {};
  }
  bool full() const { return full_; }
  std::string take() { return std::move(text_); }

 private:
  const std::string& name_;
  ReadLimits limits_;
  std::string text_;
  bool full_ = false;
};

// gzip of one or more members, as gunzip has it: what follows the last member is ignored.
class Unpacker {
 public:
  explicit Unpacker(const std::string& name) : name_(name) {
    inflateInit2(&stream_, kGzipWindowBits);
  }
  ~Unpacker() { inflateEnd(&stream_); }
  Unpacker(const Unpacker&) = delete;
  Unpacker& operator=(const Unpacker&) = delete;

  Result<void> add(std::string_view bytes, Content& content) {
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream_.avail_in = static_cast<uInt>(bytes.size());
    while (stream_.avail_in > 0 && !content.full() && !trailing_) {
      if (member_ended_) {
        inflateReset(&stream_);
        member_ended_ = false;
        fresh_ = true;
      }
      stream_.next_out = reinterpret_cast<Bytef*>(buffer_.data());
      stream_.avail_out = static_cast<uInt>(buffer_.size());
      int code = inflate(&stream_, Z_NO_FLUSH);
      if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) {
        if (fresh_ && members_ > 0) {
          trailing_ = true;
          return {};
        }
        return broken(stream_.msg != nullptr ? stream_.msg : "it is damaged");
      }
      std::size_t size = buffer_.size() - stream_.avail_out;
      if (size > 0) fresh_ = false;
      auto added = content.add(std::string_view(buffer_.data(), size));
      if (!added) return added;
      if (code == Z_STREAM_END) {
        member_ended_ = true;
        ++members_;
      }
    }
    return {};
  }
  Result<void> end() const {
    if (member_ended_ || trailing_ || (fresh_ && members_ > 0)) return {};
    return broken("it ends in the middle");
  }

 private:
  Result<void> broken(std::string_view why) const {
    return fail(ErrorCode::kToolOutput,
                fmt::format("{} is not whole gzip data ({}); pass gz: false if it is not packed",
                            name_, why));
  }

  const std::string& name_;
  z_stream stream_{};
  std::array<char, kChunkBytes> buffer_;
  int members_ = 0;
  bool member_ended_ = false;
  bool fresh_ = true;      // this member has given nothing yet
  bool trailing_ = false;  // behind the last member
};

}  // namespace

Result<std::string> read_content(const FileHandle& file, const std::string& name, bool gzip,
                                 const ReadLimits& limits, const std::atomic<bool>& stopped) {
  Content content(name, limits);
  auto unpacker = gzip ? std::make_unique<Unpacker>(name) : nullptr;
  auto buffer = std::make_unique<std::array<char, kChunkBytes>>();
  while (!content.full()) {
    if (stopped) return fail(ErrorCode::kCancelled, "reading was stopped");
    ssize_t size = ::read(file.get(), buffer->data(), buffer->size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return std::unexpected(file_error("read", name, errno));
    if (size == 0) break;
    std::string_view bytes(buffer->data(), static_cast<std::size_t>(size));
    auto added = unpacker ? unpacker->add(bytes, content) : content.add(bytes);
    if (!added) return std::unexpected(added.error());
  }
  if (unpacker && !content.full()) {
    if (auto ended = unpacker->end(); !ended) return std::unexpected(ended.error());
  }
  return content.take();
}

std::string latin1_to_utf8(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  for (char c : bytes) {
    auto code = static_cast<unsigned char>(c);
    if (code < 0x80) {
      text.push_back(c);
    } else {
      text.push_back(static_cast<char>(0xC0 | (code >> 6)));
      text.push_back(static_cast<char>(0x80 | (code & 0x3F)));
    }
  }
  return text;
}

}  // namespace sluice
