// The bytes of a table piece by piece: of a file that may be larger than memory, or of a text that
// is there already. Blocking; one thread at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>

#include "base/error.h"

namespace sluice {

class ByteSource {
 public:
  // A regular file: it is read again when a run resumes. kFileMissing, kFileDenied, kIo.
  static Result<std::unique_ptr<ByteSource>> of_file(const std::filesystem::path& file);
  // `text` outlives it.
  static std::unique_ptr<ByteSource> of_text(std::string_view text);

  virtual ~ByteSource() = default;
  // Valid until the next call; empty at the end. kIo.
  virtual Result<std::string_view> next() = 0;
};

// Looks at the first bytes of a text file: drops a UTF-8 byte order mark, refuses UTF-16.
// kTableInvalid.
Result<std::string_view> without_byte_order_mark(std::string_view first);

// kTableInvalid for bytes that are not UTF-8; `line` is where `text` begins.
Result<void> check_utf8(std::string_view text, std::uint64_t line);

}  // namespace sluice
