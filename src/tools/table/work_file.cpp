#include "tools/table/work_file.h"

#include <fmt/format.h>

#include <array>
#include <system_error>
#include <utility>

#include "data/json.h"
#include "tools/table/blob_cells.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

// `arrival` is the order in which rows came first.
constexpr const char* kSchema =
    "CREATE TABLE IF NOT EXISTS sluice_batch (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS result (row INTEGER PRIMARY KEY, arrival INTEGER NOT NULL,"
    " value TEXT, error TEXT, input TEXT)";
constexpr std::string_view kInsert =
    "INSERT INTO result VALUES (?, ?, ?, ?, ?) ON CONFLICT (row) DO UPDATE SET"
    " value = excluded.value, error = excluded.error, input = excluded.input";

// A second process gets SQLITE_BUSY.
constexpr const char* kPragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL";

bool busy(const SqliteFile& file) {
  return (sqlite3_extended_errcode(file.handle()) & 0xFF) == SQLITE_BUSY;
}

Error held_by_another(const fs::path& part) {
  return Error(
      ErrorCode::kRunBusy,
      fmt::format("another process is at work on {}; wait for it, or end it first", part.string()));
}

Error in_the_way(const fs::path& part) {
  return Error(ErrorCode::kTableInvalid,
               fmt::format("{} lies where results are kept while they come, and is something else; "
                           "move it away",
                           part.string()));
}

Result<std::optional<std::string>> text_of(const SqlStatement& statement, int column) {
  auto value = statement.column(column, "result");
  if (!value) return std::unexpected(value.error());
  if (!value->is_string()) return std::nullopt;
  return std::string(value->as_string());
}

Result<Value> json_of(const SqlStatement& statement, int column) {
  auto text = text_of(statement, column);
  if (!text) return std::unexpected(text.error());
  if (!*text) return Value();
  auto value = parse_json(**text);
  return value ? Result<Value>(with_blobs_back(*value)) : value;
}

Value json_text(const Value& value) {
  return value.is_null() ? Value() : Value::string(to_json(with_blobs_as_json(value)));
}

Result<std::optional<std::string>> begun_run(const SqliteFile& file) {
  auto statement = file.prepare("SELECT value FROM sluice_batch WHERE key = 'run'");
  if (!statement) return std::unexpected(statement.error());
  auto more = statement->step();
  if (!more) return std::unexpected(more.error());
  if (!*more) return std::nullopt;
  return text_of(*statement, 0);
}

// Ours has the table sluice_batch; a new one has none at all.
Result<bool> is_ours(const SqliteFile& file) {
  auto tables = file.tables();
  if (!tables) return std::unexpected(tables.error());
  if (tables->empty()) return true;
  for (const std::string& name : *tables) {
    if (name == "sluice_batch") return true;
  }
  return false;
}

}  // namespace

fs::path work_file_of(const fs::path& output) {
  fs::path part = output;
  part += ".part";
  return part;
}

Result<void> remove_work_file(const fs::path& output) {
  for (const char* end : {"", "-wal", "-shm", "-journal"}) {
    fs::path file = work_file_of(output);
    file += end;
    std::error_code failed;
    fs::remove(file, failed);
    if (failed) {
      return fail(ErrorCode::kIo,
                  fmt::format("cannot remove {}: {}", file.string(), failed.message()));
    }
  }
  return {};
}

Result<std::optional<std::string>> run_of_work_file(const fs::path& output) {
  const fs::path part = work_file_of(output);
  std::error_code ignored;
  if (!fs::exists(part, ignored)) return std::nullopt;
  auto file = WorkFile::open(output);
  if (!file) return std::unexpected(file.error());
  return (*file)->run();
}

Result<std::unique_ptr<WorkFile>> WorkFile::open(const fs::path& output) {
  const fs::path part = work_file_of(output);
  auto file = SqliteFile::open(part, SqliteFile::Use::kAlone, 0);
  if (!file) {
    if (file.error().code() == ErrorCode::kTableInvalid) return std::unexpected(in_the_way(part));
    const bool held = file.error().message().find("locked") != std::string::npos;
    return std::unexpected(held ? held_by_another(part) : file.error());
  }
  auto ours = is_ours(*file);
  if (!ours && busy(*file)) return std::unexpected(held_by_another(part));
  if (!ours) return std::unexpected(ours.error());
  if (!*ours) return std::unexpected(in_the_way(part));
  std::unique_ptr<WorkFile> work(new WorkFile(std::move(*file)));
  for (const char* sql : {kPragmas, kSchema}) {
    auto done = work->file_.run(sql);
    if (!done && busy(work->file_)) return std::unexpected(held_by_another(part));
    if (!done) return std::unexpected(done.error());
  }
  auto run = work->run();
  if (!run) return std::unexpected(run.error());
  work->begun_ = run->has_value();
  auto last = work->file_.prepare("SELECT coalesce(max(arrival), -1) FROM result");
  if (!last) return std::unexpected(last.error());
  auto row = last->step();
  if (!row) return std::unexpected(row.error());
  auto arrival = last->column(0, "arrival");
  if (arrival && arrival->is_int()) work->next_arrival_ = arrival->as_int() + 1;
  return work;
}

Result<std::optional<std::string>> WorkFile::run() const { return begun_run(file_); }

Result<void> WorkFile::begin(std::string_view run) {
  auto before = this->run();
  if (!before) return std::unexpected(before.error());
  if (*before && **before == run) return {};
  if (*before) {
    return fail(ErrorCode::kRunChanged,
                fmt::format("{} holds results of run {}; go on with that run, or remove the file",
                            file_.name(), **before));
  }
  auto insert = file_.prepare("INSERT INTO sluice_batch VALUES ('run', ?)");
  if (!insert) return std::unexpected(insert.error());
  if (auto bound = insert->bind(1, Value::string(run)); !bound) return bound;
  auto stepped = insert->step();
  if (!stepped) return std::unexpected(stepped.error());
  begun_ = true;
  return {};
}

Result<void> WorkFile::store(SqlStatement& insert, const StoredRow& row) {
  insert.reset();
  const Value error =
      row.error ? Value::from_utf8(*row.error).value_or(Value::string("?")) : Value();
  const std::array<Value, 5> columns = {Value::integer(row.row), Value::integer(next_arrival_),
                                        row.error ? Value() : json_text(row.value), error,
                                        json_text(row.input)};
  int index = 0;
  for (const Value& column : columns) {
    if (auto bound = insert.bind(++index, column); !bound) return bound;
  }
  auto stepped = insert.step();
  if (!stepped) return std::unexpected(stepped.error());
  ++next_arrival_;
  return {};
}

Result<void> WorkFile::put(std::span<const StoredRow> rows) {
  if (!begun_) {
    return fail(
        ErrorCode::kRunChanged,
        fmt::format("{} is gone, and with it the rows that were done; begin anew", file_.name()));
  }
  if (auto begun = file_.run("BEGIN IMMEDIATE"); !begun) return begun;
  Result<void> stored;
  {
    auto insert = file_.prepare(kInsert);
    if (!insert) stored = std::unexpected(insert.error());
    for (std::size_t i = 0; i < rows.size() && stored; ++i) stored = store(*insert, rows[i]);
  }
  if (stored) stored = file_.run("COMMIT");
  if (!stored && sqlite3_get_autocommit(file_.handle()) == 0) {
    sqlite3_exec(file_.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
  }
  return stored;
}

Result<std::int64_t> WorkFile::rows() const {
  auto statement = file_.prepare("SELECT count(*) FROM result");
  if (!statement) return std::unexpected(statement.error());
  auto stepped = statement->step();
  if (!stepped) return std::unexpected(stepped.error());
  auto number = statement->column(0, "count");
  if (!number) return std::unexpected(number.error());
  return number->is_int() ? number->as_int() : 0;
}

Result<WorkCounts> WorkFile::counts() const {
  if (!begun_) {
    return fail(
        ErrorCode::kRunChanged,
        fmt::format("{} is gone, and with it the rows that were done; begin anew", file_.name()));
  }
  auto statement = file_.prepare(
      "SELECT count(*), coalesce(max(row), -1) + 1, count(error),"
      " coalesce(sum(value IS NULL AND error IS NULL), 0) FROM result");
  if (!statement) return std::unexpected(statement.error());
  auto stepped = statement->step();
  if (!stepped) return std::unexpected(stepped.error());
  std::array<std::int64_t, 4> numbers{};
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    auto number = statement->column(static_cast<int>(i), "count");
    if (number && number->is_int()) numbers[i] = number->as_int();
  }
  if (numbers[0] != numbers[1]) {
    return fail(ErrorCode::kRunChanged,
                fmt::format("{} has {} rows of the first {}: rows that were done are gone from it; "
                            "begin anew",
                            file_.name(), numbers[0], numbers[1]));
  }
  return WorkCounts{.rows = numbers[0], .errors = numbers[2], .empty = numbers[3]};
}

Result<void> WorkFile::each(Order order,
                            const std::function<Result<void>(const StoredRow&)>& visit) const {
  auto statement = file_.prepare(
      order == Order::kRow ? "SELECT row, value, error, input FROM result ORDER BY row"
                           : "SELECT row, value, error, input FROM result ORDER BY arrival");
  if (!statement) return std::unexpected(statement.error());
  while (true) {
    auto more = statement->step();
    if (!more) return std::unexpected(more.error());
    if (!*more) return {};
    auto number = statement->column(0, "row");
    auto value = json_of(*statement, 1);
    auto error = text_of(*statement, 2);
    auto input = json_of(*statement, 3);
    if (!number || !value || !error || !input) {
      return fail(ErrorCode::kTableInvalid, fmt::format("{} is damaged; begin anew", file_.name()));
    }
    StoredRow row{.row = number->as_int(),
                  .value = std::move(*value),
                  .error = std::move(*error),
                  .input = std::move(*input)};
    if (auto visited = visit(row); !visited) return visited;
  }
}

}  // namespace sluice
