// A SQLite table or query as a table: stepped through on a connection that can only read.
#pragma once

#include <memory>

#include "base/error.h"
#include "tools/table/table_reader.h"

namespace sluice {

Result<std::unique_ptr<TableReader>> open_sqlite_table(const TableSource& source);

}  // namespace sluice
