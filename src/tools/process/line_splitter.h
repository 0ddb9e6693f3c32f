// Cuts a stream of bytes into lines without copying them. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

class LineSplitter {
 public:
  // No line may be longer than this; 0: any length.
  explicit LineSplitter(std::uint64_t max_line_bytes = 0) : max_line_bytes_(max_line_bytes) {}

  void add(std::string_view bytes) {
    if (begin_ > 0) {
      buffer_.erase(0, begin_);
      scanned_ -= begin_;
      begin_ = 0;
    }
    buffer_.append(bytes);
  }
  // What is left is the last line, though no line break ends it.
  void end() { ended_ = true; }

  // The next whole line without its line break (and without a carriage return before it). It is
  // valid until the next call of add.
  std::optional<std::string_view> next() {
    std::size_t newline = buffer_.find('\n', scanned_);
    if (newline == std::string::npos) {
      scanned_ = buffer_.size();
      if (!ended_ || begin_ == buffer_.size()) return std::nullopt;
      newline = buffer_.size();
    }
    std::string_view line(buffer_.data() + begin_, newline - begin_);
    begin_ = std::min(newline + 1, buffer_.size());
    scanned_ = begin_;
    too_long_ = too_long_ || over(line.size());
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
  }

  // A line was, or the one that is not whole yet is, longer than allowed.
  bool too_long() const { return too_long_ || over(scanned_ - begin_); }

 private:
  bool over(std::size_t bytes) const { return max_line_bytes_ > 0 && bytes > max_line_bytes_; }

  std::uint64_t max_line_bytes_;
  std::string buffer_;
  std::size_t begin_ = 0;    // of the next line
  std::size_t scanned_ = 0;  // no line break before this
  bool ended_ = false;
  bool too_long_ = false;
};

}  // namespace sluice
