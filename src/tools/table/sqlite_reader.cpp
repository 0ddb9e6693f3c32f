#include "tools/table/sqlite_reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "base/ids.h"
#include "tools/table/sqlite_file.h"
#include "tools/text.h"

namespace sluice {
namespace {

class SqliteTable final : public TableReader {
 public:
  SqliteTable(SqliteFile file, SqlStatement statement, std::vector<std::string> columns)
      : file_(std::move(file)), statement_(std::move(statement)), columns_(std::move(columns)) {}

  const std::vector<std::string>& columns() const override { return columns_; }
  bool cells_are_text() const override { return false; }
  std::string place() const override { return fmt::format("row {}", row_); }
  void interrupt() override { sqlite3_interrupt(file_.handle()); }

  Result<bool> skip() override {
    auto more = statement_.step();
    if (more && *more) ++row_;
    return more;
  }
  Result<std::optional<Value>> next() override {
    auto more = skip();
    if (!more) return std::unexpected(more.error());
    if (!*more) return std::nullopt;
    std::vector<Value::Member> members;
    members.reserve(columns_.size());
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      auto cell = statement_.column(static_cast<int>(i), columns_[i]);
      if (!cell) {
        return fail(ErrorCode::kTableInvalid,
                    fmt::format("row {}: {}", row_, cell.error().message()));
      }
      members.emplace_back(columns_[i], std::move(*cell));
    }
    return Value::object(std::move(members));
  }

 private:
  SqliteFile file_;
  SqlStatement statement_;  // goes before the file
  std::vector<std::string> columns_;
  std::uint64_t row_ = 0;
};

Result<std::string> query_of(const SqliteFile& file, const TableSource& source) {
  if (!source.query.empty()) return source.query;
  auto tables = file.tables();
  if (!tables) return std::unexpected(tables.error());
  if (source.table.empty() && tables->size() == 1) {
    return "SELECT * FROM " + quote_name(tables->front());
  }
  if (source.table.empty()) {
    return fail(ErrorCode::kUsage,
                tables->empty()
                    ? fmt::format("{} has no table", file.name())
                    : fmt::format("{} has several tables ({}); say which with a query, such as: "
                                  "select * from {}",
                                  file.name(), fmt::join(*tables, ", "), tables->front()));
  }
  if (std::ranges::find(*tables, source.table) != tables->end()) {
    return "SELECT * FROM " + quote_name(source.table);
  }
  const std::string close = closest_name(source.table, *tables);
  return fail(ErrorCode::kUsage,
              fmt::format("{} has no table {}{}", file.name(), one_line_start(source.table, 60),
                          close.empty() ? "" : fmt::format("; did you mean {}?", close)));
}

bool only_blanks(std::string_view text) {
  return text.find_first_not_of(" \t\r\n;") == std::string_view::npos;
}

}  // namespace

Result<std::unique_ptr<TableReader>> open_sqlite_table(const TableSource& source) {
  auto file = SqliteFile::open(source.file, SqliteFile::Use::kRead);
  if (!file) return std::unexpected(file.error());
  auto sql = query_of(*file, source);
  if (!sql) return std::unexpected(sql.error());
  std::string_view rest;
  auto statement = SqlStatement::prepare(file->handle(), *sql, &rest);
  if (!statement) return std::unexpected(statement.error());
  if (statement->empty() || !statement->read_only() || !statement->returns_rows() ||
      !only_blanks(rest)) {
    return fail(ErrorCode::kSqlFailed,
                fmt::format("the query of a table is one SELECT, and this is: {}",
                            one_line_start(*sql, 100)));
  }
  if (statement->parameter_count() > 0) {
    return fail(ErrorCode::kSqlFailed, "the query of a table has no parameters");
  }
  auto columns = statement->column_names();
  if (!columns) return std::unexpected(columns.error());
  return std::make_unique<SqliteTable>(std::move(*file), std::move(*statement),
                                       std::move(*columns));
}

}  // namespace sluice
