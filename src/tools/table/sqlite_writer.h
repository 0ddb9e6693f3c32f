// A SQLite table out: a new database is made beside its place and renamed; in one that is there
// already the table is replaced in one transaction, and nothing else is touched.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tools/table/table_writer.h"

namespace sluice {

Result<std::unique_ptr<TableWriter>> open_sqlite_writer(const TableTarget& target,
                                                        const std::vector<std::string>& columns,
                                                        std::string_view owner);
// Of a database that is there.
Result<bool> has_sqlite_table(const TableTarget& target);
// Whether SQLite would make such a table.
Result<void> check_sqlite_table(const TableTarget& target, std::size_t columns);

}  // namespace sluice
