// TableWriter: rows in, one file out, there as a whole or not at all. Blocking; one thread.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "data/value.h"
#include "tools/table/table_format.h"

namespace sluice {

class TableWriter {
 public:
  virtual ~TableWriter() = default;  // without end() nothing is left behind
  // An object; columns that it does not have stay empty.
  virtual Result<void> row(const Value& row) = 0;
  virtual Result<void> end() = 0;
};

// `columns` in their order; JSON Lines needs none. `owner`: the run, after which the file is named
// until it takes its place. kDiskFull, kIo, kFileDenied, kSqlFailed.
Result<std::unique_ptr<TableWriter>> open_table_writer(const TableTarget& target,
                                                       const std::vector<std::string>& columns,
                                                       std::string_view owner);
// Whether the format has to know its columns before the first row.
bool needs_columns(TableFormat format);

// Whether there can be such a table, of so many columns at least. kUsage.
Result<void> check_target(const TableTarget& target, std::size_t columns);

// Whether something is there that writing would replace: the file, or the table in a database.
// kTableInvalid when the file is no database and should be one.
Result<bool> output_exists(const TableTarget& target);

}  // namespace sluice
