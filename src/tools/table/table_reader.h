// TableReader: the rows of a table as objects, one after the other in the order of the file. Memory
// follows the largest row. Blocking; one thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "data/value.h"
#include "tools/table/table_format.h"

namespace sluice {

class TableReader {
 public:
  virtual ~TableReader() = default;
  // The columns that all rows have; none where each row names its own (JSON Lines).
  virtual const std::vector<std::string>& columns() const = 0;
  // Whether cells are text whatever they mean.
  virtual bool cells_are_text() const = 0;
  // The next row; nullopt at the end. kTableInvalid, kIo.
  virtual Result<std::optional<Value>> next() = 0;
  // The same without making a value of it: checks it, and says whether there was one.
  virtual Result<bool> skip() = 0;
  // Where the last row stands, for messages: "line 17", "row 5".
  virtual std::string place() const = 0;
  // Makes what another thread reads now fail soon, where reading a row may take long.
  virtual void interrupt() {}
};

// kFileMissing, kFileDenied, kTableInvalid, kSqlFailed, kIo; messages name the file.
Result<std::unique_ptr<TableReader>> open_table(const TableSource& source);

// What a whole table holds, read once from end to end.
struct TableScan {
  std::vector<std::string> columns;  // of JSON Lines: those of the first rows
  std::uint64_t rows = 0;
};
// `most`: no more rows than these are looked at; 0: all. `go_on` is asked now and then, with the
// rows so far; false stops it with kCancelled.
Result<TableScan> scan_table(const TableSource& source, std::uint64_t most = 0,
                             const std::function<bool(std::uint64_t rows)>& go_on = {});

}  // namespace sluice
