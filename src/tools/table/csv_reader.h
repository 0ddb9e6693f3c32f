// Records of CSV text as RFC 4180 has them, one after the other: quoted cells may hold separators
// and line ends, "" inside quotes is one quote, lines end in LF or CRLF, a byte order mark is
// passed over. Memory follows the longest record, not the file. Blocking; one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "tools/table/byte_source.h"
#include "tools/table/table_reader.h"

namespace sluice {

class CsvReader {
 public:
  CsvReader(std::unique_ptr<ByteSource> source, char separator)
      : source_(std::move(source)), separator_(separator) {}

  // The next record; false at the end. kTableInvalid with the line, kIo.
  Result<bool> next(std::vector<std::string>& cells);
  // Where the last record began, from 1.
  std::uint64_t line() const { return record_line_; }

 private:
  enum class After { kCell, kRecord };

  // The next byte, or -1 at the end and when reading failed (failure_).
  int peek();
  Result<After> read_cell(std::string& cell);
  Result<After> read_quoted(std::string& cell);
  Result<After> after_quoted();
  // What follows a CR: the end of the record, or nothing of the kind.
  bool ends_behind_cr();
  Result<void> bounded(const std::string& cell);
  std::unexpected<Error> wrong(std::uint64_t line, std::string_view what) const;

  std::unique_ptr<ByteSource> source_;
  char separator_;
  std::string_view piece_;
  std::size_t at_ = 0;
  bool begun_ = false;
  bool ended_ = false;
  std::uint64_t line_ = 1;
  std::uint64_t record_line_ = 0;
  std::uint64_t cell_line_ = 0;
  std::size_t record_bytes_ = 0;
  std::optional<Error> failure_;
};

// A table of such records: the first names the columns, every cell is text.
Result<std::unique_ptr<TableReader>> open_csv_table(std::unique_ptr<ByteSource> source,
                                                    char separator);

}  // namespace sluice
