#include "tools/table/table_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "tools/table/byte_source.h"
#include "tools/table/csv_reader.h"
#include "tools/table/json_lines_reader.h"
#include "tools/table/sqlite_reader.h"

namespace sluice {
namespace {

constexpr std::uint64_t kRowsThatNameColumns = 100;
constexpr std::uint64_t kAskEvery = 4096;

// Errors of readers say where in the table; here it gets its name.
class NamedReader final : public TableReader {
 public:
  NamedReader(std::unique_ptr<TableReader> reader, std::string name)
      : reader_(std::move(reader)), name_(std::move(name)) {}

  const std::vector<std::string>& columns() const override { return reader_->columns(); }
  bool cells_are_text() const override { return reader_->cells_are_text(); }
  std::string place() const override { return reader_->place(); }
  void interrupt() override { reader_->interrupt(); }
  Result<std::optional<Value>> next() override { return named(reader_->next()); }
  Result<bool> skip() override { return named(reader_->skip()); }

  template <class T>
  Result<T> named(Result<T> result) const {
    if (result || result.error().code() != ErrorCode::kTableInvalid) return result;
    return fail(ErrorCode::kTableInvalid, fmt::format("{}: {}", name_, result.error().message()));
  }

 private:
  std::unique_ptr<TableReader> reader_;
  std::string name_;
};

Result<std::unique_ptr<TableReader>> open_unnamed(const TableSource& source) {
  if (source.format == TableFormat::kSqlite) return open_sqlite_table(source);
  auto bytes = ByteSource::of_file(source.file);
  if (!bytes) return std::unexpected(bytes.error());
  if (source.format == TableFormat::kJsonLines) return open_json_lines_table(std::move(*bytes));
  return open_csv_table(std::move(*bytes), source.format == TableFormat::kTsv ? '\t' : ',');
}

void add_columns(const Value& row, std::vector<std::string>& columns) {
  for (const auto& [name, value] : row.members()) {
    if (std::ranges::find(columns, name) == columns.end()) columns.push_back(name);
  }
}

}  // namespace

Result<std::unique_ptr<TableReader>> open_table(const TableSource& source) {
  const std::string name = source.file.string();
  auto reader = open_unnamed(source);
  if (!reader) {
    if (reader.error().code() != ErrorCode::kTableInvalid) return reader;
    return fail(ErrorCode::kTableInvalid, fmt::format("{}: {}", name, reader.error().message()));
  }
  return std::make_unique<NamedReader>(std::move(*reader), name);
}

Result<TableScan> scan_table(const TableSource& source, std::uint64_t most,
                             const std::function<bool(std::uint64_t rows)>& go_on) {
  auto reader = open_table(source);
  if (!reader) return std::unexpected(reader.error());
  TableScan scan;
  scan.columns = (*reader)->columns();
  const bool rows_name_them = source.format == TableFormat::kJsonLines;
  while (most == 0 || scan.rows < most) {
    if (rows_name_them && scan.rows < kRowsThatNameColumns) {
      auto row = (*reader)->next();
      if (!row) return std::unexpected(row.error());
      if (!*row) return scan;
      add_columns(**row, scan.columns);
    } else {
      auto more = (*reader)->skip();
      if (!more) return std::unexpected(more.error());
      if (!*more) return scan;
    }
    ++scan.rows;
    if (go_on && scan.rows % kAskEvery == 0 && !go_on(scan.rows)) {
      return fail(ErrorCode::kCancelled,
                  fmt::format("reading {} was stopped", source.file.string()));
    }
  }
  return scan;
}

}  // namespace sluice
