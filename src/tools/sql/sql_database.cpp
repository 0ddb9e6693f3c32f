#include "tools/sql/sql_database.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <array>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "tools/sql/sql_statement.h"
#include "tools/text.h"

namespace sluice {
namespace {

constexpr int kBusyWaitMs = 20;
constexpr int kBusyTries = 500;  // ten seconds
constexpr int kProgressOperations = 4000;
constexpr std::array<std::string_view, 10> kReadingPragmas = {
    "table_info",  "table_xinfo",      "table_list",   "index_list",    "index_info",
    "index_xinfo", "foreign_key_list", "user_version", "database_list", "function_list"};

bool reading_pragma(const char* name) {
  for (std::string_view allowed : kReadingPragmas) {
    if (name != nullptr && allowed == name) return true;
  }
  return false;
}

// What a query may do: read.
int authorize_query(void*, int action, const char* first, const char* second, const char*,
                    const char*) {
  switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_FUNCTION:
    case SQLITE_RECURSIVE:
      return SQLITE_OK;
    case SQLITE_PRAGMA:
      return reading_pragma(first) &&
                     (second == nullptr || first != std::string_view("user_version"))
                 ? SQLITE_OK
                 : SQLITE_DENY;
    case SQLITE_UPDATE:
      // Asked when a table of SQLite's own (pragma_table_info) is declared; nothing is written, as
      // the statement must be a reading one and the database is in defensive mode.
      return first == std::string_view("sqlite_master") ? SQLITE_OK : SQLITE_DENY;
    default:
      return SQLITE_DENY;
  }
}

// What exec may do: all but reach other files (attach, and vacuum into, which attaches) and keep a
// transaction open beyond the call.
int authorize_exec(void*, int action, const char*, const char*, const char*, const char*) {
  switch (action) {
    case SQLITE_ATTACH:
    case SQLITE_DETACH:
    case SQLITE_TRANSACTION:
    case SQLITE_SAVEPOINT:
      return SQLITE_DENY;
    default:
      return SQLITE_OK;
  }
}

// Sets an authorizer for a scope.
class Authorized {
 public:
  using Function = int (*)(void*, int, const char*, const char*, const char*, const char*);
  Authorized(sqlite3* database, Function function) : database_(database) {
    sqlite3_set_authorizer(database_, function, nullptr);
  }
  ~Authorized() { sqlite3_set_authorizer(database_, nullptr, nullptr); }
  Authorized(const Authorized&) = delete;
  Authorized& operator=(const Authorized&) = delete;

 private:
  sqlite3* database_;
};

bool only_blanks_and_comments(sqlite3* database, std::string_view rest) {
  while (!rest.empty()) {
    std::string_view after;
    auto next = SqlStatement::prepare(database, rest, &after);
    if (!next || !next->empty()) return false;
    if (after.size() == rest.size()) return true;
    rest = after;
  }
  return true;
}

Error interrupted() { return {ErrorCode::kCancelled, "the statement was interrupted"}; }

}  // namespace

Result<std::unique_ptr<SqlDatabase>> SqlDatabase::open(const std::filesystem::path& path,
                                                       const std::string& init) {
  std::unique_ptr<SqlDatabase> database(new SqlDatabase);
  std::string name = path.empty() ? ":memory:" : path.string();
  int flags =
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_EXRESCODE;
  int code = sqlite3_open_v2(name.c_str(), &database->handle_, flags, nullptr);
  if (code != SQLITE_OK) {
    return fail(ErrorCode::kToolStart,
                fmt::format("cannot open the database {}: {}; does its folder exist, and may we "
                            "write there?",
                            name, sqlite3_errmsg(database->handle_)));
  }
  sqlite3_busy_handler(database->handle_, &SqlDatabase::on_busy, database.get());
  sqlite3_progress_handler(database->handle_, kProgressOperations, &SqlDatabase::on_progress,
                           database.get());
  sqlite3_db_config(database->handle_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  std::string_view rest = init;
  while (!rest.empty()) {
    auto statement = SqlStatement::prepare(database->handle_, rest, &rest);
    Result<Value> done = !statement           ? Result<Value>(std::unexpected(statement.error()))
                         : statement->empty() ? Result<Value>(Value())
                                              : statement->rows(0);
    if (!done) {
      return std::unexpected(
          Error(ErrorCode::kToolStart, fmt::format("init of the database {} failed", name))
              .with_cause(done.error()));
    }
  }
  return database;
}

SqlDatabase::~SqlDatabase() { sqlite3_close(handle_); }

int SqlDatabase::on_busy(void* self, int count) {
  auto& database = *static_cast<SqlDatabase*>(self);
  if (database.interrupted_ || count >= kBusyTries) return 0;
  sqlite3_sleep(kBusyWaitMs);
  return 1;
}

int SqlDatabase::on_progress(void* self) {
  return static_cast<SqlDatabase*>(self)->interrupted_ ? 1 : 0;
}

void SqlDatabase::interrupt() { interrupted_ = true; }

void SqlDatabase::allow() { interrupted_ = false; }

Result<void> SqlDatabase::run_plain(const std::string& sql) {
  if (sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK) return {};
  return std::unexpected(sql_error(handle_, one_line_start(sql, 100)));
}

Result<Value> SqlDatabase::query(const SqlRequest& request) {
  if (!request.tables.is_object() || request.tables.members().empty()) {
    return query_with_tables(request);
  }
  // The temporary tables live for this query only, whatever happens to it.
  if (auto begun = run_plain("SAVEPOINT sluice_tables"); !begun) {
    return std::unexpected(begun.error());
  }
  Result<Value> result = Value();
  for (const auto& [name, rows] : request.tables.members()) {
    auto created = create_table(name, rows);
    if (!created) {
      result = std::unexpected(created.error());
      break;
    }
  }
  if (result) result = query_with_tables(request);
  bool was_interrupted = interrupted_.exchange(false);  // tidying up is not interrupted
  sqlite3_exec(handle_, "ROLLBACK TO sluice_tables; RELEASE sluice_tables", nullptr, nullptr,
               nullptr);
  if (was_interrupted) return std::unexpected(interrupted());
  return result;
}

Result<Value> SqlDatabase::query_with_tables(const SqlRequest& request) {
  Authorized authorized(handle_, authorize_query);
  std::string_view rest;
  auto statement = SqlStatement::prepare(handle_, request.sql, &rest);
  if (!statement) return std::unexpected(statement.error());
  if (statement->empty()) return fail(ErrorCode::kSqlFailed, "sql holds no statement");
  if (!only_blanks_and_comments(handle_, rest)) {
    return fail(ErrorCode::kSqlFailed,
                fmt::format("query takes one statement, and another follows: {}",
                            one_line_start(rest, 80)));
  }
  if (!statement->read_only() || !statement->returns_rows()) {
    return fail(ErrorCode::kSqlFailed, "query only reads; use exec for a statement that changes");
  }
  if (auto bound = statement->bind_all(request.args); !bound) {
    return std::unexpected(bound.error());
  }
  return statement->rows(request.max_bytes);
}

Result<void> SqlDatabase::create_table(const std::string& name, const Value& rows) {
  if (!rows.is_array()) {
    return fail(ErrorCode::kArgInvalid, fmt::format("table {} must be a list of maps", name));
  }
  std::vector<std::string> columns;
  std::unordered_set<std::string> known;
  for (const Value& row : rows.items()) {
    if (!row.is_object()) {
      return fail(ErrorCode::kArgInvalid,
                  fmt::format("table {} must be a list of maps, and one entry is a {}", name,
                              kind_name(row.kind())));
    }
    for (const auto& [column, value] : row.members()) {
      if (known.insert(column).second) columns.push_back(column);
    }
  }
  // A table needs a column, also when it has no rows.
  if (columns.empty()) columns.emplace_back("_");
  std::string list;
  for (const auto& column : columns) list += (list.empty() ? "" : ", ") + quote_name(column);
  auto created = run_plain("CREATE TEMP TABLE " + quote_name(name) + " (" + list + ")");
  if (!created) return created;
  return fill_table(name, columns, rows);
}

Result<void> SqlDatabase::fill_table(const std::string& name,
                                     const std::vector<std::string>& columns, const Value& rows) {
  std::string marks = "?";
  for (std::size_t i = 1; i < columns.size(); ++i) marks += ", ?";
  std::string sql = "INSERT INTO temp." + quote_name(name) + " VALUES (" + marks + ")";
  auto insert = SqlStatement::prepare(handle_, sql, nullptr);
  if (!insert) return std::unexpected(insert.error());
  for (const Value& row : rows.items()) {
    insert->reset();
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const Value* value = row.find(columns[i]);
      if (value == nullptr) continue;  // stays null
      if (auto bound = insert->bind(static_cast<int>(i) + 1, *value); !bound) return bound;
    }
    auto stepped = insert->step();
    if (!stepped) return std::unexpected(stepped.error());
  }
  return {};
}

Result<Value> SqlDatabase::exec(const SqlRequest& request) {
  if (auto begun = run_plain("SAVEPOINT sluice_exec"); !begun) {
    return std::unexpected(begun.error());
  }
  auto result = exec_statements(request);
  bool was_interrupted = interrupted_.exchange(false);
  if (result && !was_interrupted) {
    auto released = run_plain("RELEASE sluice_exec");
    if (released) return result;
    result = std::unexpected(released.error());
  }
  sqlite3_exec(handle_, "ROLLBACK TO sluice_exec; RELEASE sluice_exec", nullptr, nullptr, nullptr);
  if (was_interrupted) return std::unexpected(interrupted());
  return result;
}

Result<Value> SqlDatabase::exec_statements(const SqlRequest& request) {
  Authorized authorized(handle_, authorize_exec);
  std::int64_t changes_before = sqlite3_total_changes64(handle_);
  Value rows;
  int statements = 0;
  std::string_view rest = request.sql;
  while (!rest.empty()) {
    auto statement = SqlStatement::prepare(handle_, rest, &rest);
    if (!statement) return std::unexpected(statement.error());
    if (statement->empty()) continue;
    if (++statements > 1 && !request.args.is_null() && request.args.size() > 0) {
      return fail(ErrorCode::kSqlFailed, "args go with one statement, and sql holds several");
    }
    auto bound = statement->bind_all(request.args);
    if (!bound) return std::unexpected(bound.error());
    bool returns = statement->returns_rows();
    auto done = statement->rows(request.max_bytes);
    if (!done) return std::unexpected(done.error());
    if (returns) rows = std::move(*done);
  }
  if (statements == 0) return fail(ErrorCode::kSqlFailed, "sql holds no statement");
  std::vector<Value::Member> result = {
      {"changes", Value::integer(sqlite3_total_changes64(handle_) - changes_before)},
      {"last_id", Value::integer(sqlite3_last_insert_rowid(handle_))}};
  if (!rows.is_null()) result.emplace_back("rows", std::move(rows));
  return Value::object(std::move(result));
}

}  // namespace sluice
