#include "tools/table/sqlite_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include "tools/table/blob_cells.h"
#include "tools/table/output_file.h"
#include "tools/table/sqlite_file.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

std::string table_of(const TableTarget& target) {
  return target.table.empty() ? "result" : target.table;
}

// SQLite takes "A" and "a" for one name: the later ones get a number.
std::vector<std::string> distinct_names(const std::vector<std::string>& columns) {
  std::set<std::string> taken;
  std::vector<std::string> names;
  for (const std::string& column : columns) {
    const std::string wished = column.empty() ? "column" : column;
    std::string name = wished;
    for (int i = 2; !taken.insert(lower(name)).second; ++i) name = fmt::format("{}_{}", wished, i);
    names.push_back(std::move(name));
  }
  return names;
}

Result<SqliteFile> open_output(const fs::path& path, SqliteFile::Use use) {
  auto file = SqliteFile::open(path, use);
  if (file || file.error().code() != ErrorCode::kTableInvalid) return file;
  return fail(ErrorCode::kTableInvalid,
              fmt::format("{}: {}", path.string(), file.error().message()));
}

// Bytes are bytes; only those inside lists and objects, which are JSON text, are text.
Value sql_cell(const Value& value) {
  return value.kind() == Value::Kind::kBlob ? value : with_blobs_as_text(value);
}

class SqliteWriter final : public TableWriter {
 public:
  SqliteWriter(fs::path place, bool fresh, std::vector<std::string> columns, std::string_view owner)
      : place_(std::move(place)), fresh_(fresh), owner_(owner), columns_(std::move(columns)) {}

  ~SqliteWriter() override {
    insert_.reset();
    if (file_ && sqlite3_get_autocommit(file_->handle()) == 0) (void)file_->run("ROLLBACK");
    file_.reset();
    if (fresh_ && !ended_) remove_before(place_, owner_);
  }

  Result<void> begin(const std::string& table) {
    if (fresh_) remove_before(place_, owner_);
    auto file = open_output(at(), SqliteFile::Use::kWrite);
    if (!file) return std::unexpected(file.error());
    file_ = std::move(*file);
    std::string list, marks;
    for (const std::string& name : distinct_names(columns_)) {
      list += (list.empty() ? "" : ", ") + quote_name(name);
      marks += marks.empty() ? "?" : ", ?";
    }
    const std::string name = quote_name(table);
    for (const std::string& sql : {std::string("BEGIN IMMEDIATE"), "DROP TABLE IF EXISTS " + name,
                                   fmt::format("CREATE TABLE {} ({})", name, list)}) {
      if (auto done = file_->run(sql); !done) return done;
    }
    auto insert = file_->prepare(fmt::format("INSERT INTO {} VALUES ({})", name, marks));
    if (!insert) return std::unexpected(insert.error());
    insert_ = std::move(*insert);
    return {};
  }

  Result<void> row(const Value& row) override {
    insert_->reset();
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const Value* value = row.find(columns_[i]);
      if (value == nullptr) continue;  // stays null
      const bool secret = value->labels().secret;
      // What does not fit 64 bits goes in as its digits.
      const bool large = value->kind() == Value::Kind::kBigInt;
      auto bound =
          insert_->bind(static_cast<int>(i) + 1, secret  ? Value::string("[secret]")
                                                 : large ? Value::string(value->as_string())
                                                         : sql_cell(*value));
      if (!bound) return bound;
    }
    auto stepped = insert_->step();
    if (!stepped) return std::unexpected(stepped.error());
    return {};
  }

  Result<void> end() override {
    insert_.reset();
    if (auto done = file_->run("COMMIT"); !done) return done;
    file_.reset();
    ended_ = true;
    return fresh_ ? move_into_place(at(), place_) : Result<void>();
  }

 private:
  fs::path at() const { return fresh_ ? place_before(place_, owner_) : place_; }

  fs::path place_;
  bool fresh_;
  std::string owner_;
  bool ended_ = false;
  std::vector<std::string> columns_;
  std::optional<SqliteFile> file_;
  std::optional<SqlStatement> insert_;
};

}  // namespace

Result<std::unique_ptr<TableWriter>> open_sqlite_writer(const TableTarget& target,
                                                        const std::vector<std::string>& columns,
                                                        std::string_view owner) {
  std::error_code ignored;
  const bool fresh = !fs::exists(target.file, ignored);
  // A table needs a column, also when it has no rows.
  auto writer = std::make_unique<SqliteWriter>(
      target.file, fresh, columns.empty() ? std::vector<std::string>{"result"} : columns, owner);
  if (auto begun = writer->begin(table_of(target)); !begun) {
    return std::unexpected(begun.error());
  }
  return writer;
}

Result<bool> has_sqlite_table(const TableTarget& target) {
  auto file = open_output(target.file, SqliteFile::Use::kRead);
  if (!file) return std::unexpected(file.error());
  auto statement = file->prepare("SELECT type FROM sqlite_master WHERE lower(name) = ?");
  if (!statement) return std::unexpected(statement.error());
  auto bound = statement->bind(1, Value::from_utf8(lower(table_of(target))).value_or(Value()));
  if (!bound) return std::unexpected(bound.error());
  auto there = statement->step();
  if (!there || !*there) return there;
  auto type = statement->column(0, "type");
  if (!type || (type->is_string() && type->as_string() == "table")) return true;
  return fail(ErrorCode::kUsage,
              fmt::format("{} has {} called {}; name another table", target.file.string(),
                          type->is_string() && type->as_string() == "view" ? "a view" : "an index",
                          table_of(target)));
}

Result<void> check_sqlite_table(const TableTarget& target, std::size_t columns) {
  constexpr std::size_t kMostColumns = 2000;  // that SQLite takes
  if (lower(table_of(target)).starts_with("sqlite_")) {
    return fail(ErrorCode::kUsage,
                fmt::format("{} can be no table: names that begin with sqlite_ are SQLite's own",
                            table_of(target)));
  }
  if (columns <= kMostColumns) return {};
  return fail(ErrorCode::kUsage,
              fmt::format("a table of SQLite has at most {} columns, and the input's {} would go "
                          "into it; write CSV or JSON Lines",
                          kMostColumns, columns));
}

}  // namespace sluice
