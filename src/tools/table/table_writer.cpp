#include "tools/table/table_writer.h"

#include <system_error>

#include "tools/table/csv_writer.h"
#include "tools/table/json_lines_writer.h"
#include "tools/table/sqlite_writer.h"

namespace sluice {

Result<std::unique_ptr<TableWriter>> open_table_writer(const TableTarget& target,
                                                       const std::vector<std::string>& columns,
                                                       std::string_view owner) {
  switch (target.format) {
    case TableFormat::kJsonLines:
      return open_json_lines_writer(target.file, owner);
    case TableFormat::kCsv:
      return open_csv_writer(target.file, columns, ',', owner);
    case TableFormat::kTsv:
      return open_csv_writer(target.file, columns, '\t', owner);
    case TableFormat::kSqlite:
      return open_sqlite_writer(target, columns, owner);
  }
  return fail(ErrorCode::kInternal, "a table of no format");
}

bool needs_columns(TableFormat format) { return format != TableFormat::kJsonLines; }

Result<void> check_target(const TableTarget& target, std::size_t columns) {
  return target.format == TableFormat::kSqlite ? check_sqlite_table(target, columns)
                                               : Result<void>();
}

Result<bool> output_exists(const TableTarget& target) {
  std::error_code ignored;
  if (!std::filesystem::exists(target.file, ignored)) return false;
  return target.format == TableFormat::kSqlite ? has_sqlite_table(target) : Result<bool>(true);
}

}  // namespace sluice
