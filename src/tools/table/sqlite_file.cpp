#include "tools/table/sqlite_file.h"

#include <fmt/format.h>

#include <utility>

namespace sluice {

Error SqliteFile::error() const {
  const int code = sqlite3_extended_errcode(handle_.get());
  if ((code & 0xFF) == SQLITE_NOTADB) {
    return Error(ErrorCode::kTableInvalid, "it is no SQLite database");
  }
  return sql_error(handle_.get(), name_);
}

Result<SqliteFile> SqliteFile::open(const std::filesystem::path& path, Use use, int busy_wait_ms) {
  SqliteFile file;
  file.name_ = path.string();
  std::error_code ignored;
  if (use == Use::kRead && !std::filesystem::exists(path, ignored)) {
    return fail(ErrorCode::kFileMissing,
                fmt::format("cannot read {}: there is no such file", file.name_));
  }
  const int flags =
      SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_EXRESCODE |
      (use == Use::kRead ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(file.name_.c_str(), &handle, flags, nullptr);
  file.handle_.reset(handle);
  if (code != SQLITE_OK) {
    return fail(ErrorCode::kFileDenied,
                fmt::format("cannot open {}: {}; does its folder exist, and may we {} there?",
                            file.name_, handle ? sqlite3_errmsg(handle) : "no memory",
                            use == Use::kRead ? "read" : "write"));
  }
  sqlite3_busy_timeout(handle, busy_wait_ms);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  // Before the first look: with a log that others may read too SQLite would want room for what they
  // share, also where there is none left.
  if (use == Use::kAlone) {
    if (auto alone = file.run("PRAGMA locking_mode = EXCLUSIVE"); !alone) {
      return std::unexpected(alone.error());
    }
  }
  // Opening looks at nothing yet.
  if (auto read = file.run("SELECT count(*) FROM sqlite_master"); !read) {
    return std::unexpected(read.error());
  }
  return file;
}

Result<void> SqliteFile::run(const std::string& sql) const {
  if (sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK) return {};
  return std::unexpected(error());
}

Result<SqlStatement> SqliteFile::prepare(std::string_view sql) const {
  auto statement = SqlStatement::prepare(handle_.get(), sql, nullptr);
  if (statement) return statement;
  return std::unexpected(error());
}

Result<std::vector<std::string>> SqliteFile::tables() const {
  auto statement = prepare(
      "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE "
      "'sqlite\\_%' ESCAPE '\\' ORDER BY name");
  if (!statement) return std::unexpected(statement.error());
  std::vector<std::string> names;
  while (true) {
    auto more = statement->step();
    if (!more) return std::unexpected(more.error());
    if (!*more) return names;
    auto name = statement->column(0, "name");
    if (name && name->is_string()) names.emplace_back(name->as_string());
  }
}

}  // namespace sluice
