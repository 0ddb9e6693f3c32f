// JSON Lines: a JSON value a line, blank lines passed over, lines end in LF or CRLF. Memory follows
// the longest line. Blocking; one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "data/value.h"
#include "tools/table/byte_source.h"
#include "tools/table/table_reader.h"

namespace sluice {

class JsonLinesReader {
 public:
  explicit JsonLinesReader(std::unique_ptr<ByteSource> source) : source_(std::move(source)) {}

  // The next line's value; nullopt at the end. kTableInvalid with the line, kIo.
  Result<std::optional<Value>> next();
  std::uint64_t line() const { return line_; }  // of the last value, from 1

 private:
  // The next line without its end; false at the end.
  Result<bool> next_line(std::string& line);

  std::unique_ptr<ByteSource> source_;
  std::string_view piece_;
  std::string text_;
  bool begun_ = false;
  bool ended_ = false;
  std::uint64_t line_ = 0;
};

// A table of such lines: each is an object and names its own columns.
Result<std::unique_ptr<TableReader>> open_json_lines_table(std::unique_ptr<ByteSource> source);

}  // namespace sluice
