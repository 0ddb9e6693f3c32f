#include "journal/sqlite_database.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace sluice {
namespace {

// A full disk comes under many names: as SQLite's own, or as a failed write or sync.
bool no_space(int code, int number) {
  return (code & 0xff) == SQLITE_FULL ||
         ((code & 0xff) == SQLITE_IOERR && (number == ENOSPC || number == EDQUOT));
}

}  // namespace

SqliteQuery::~SqliteQuery() {
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

SqliteQuery& SqliteQuery::integer(std::int64_t value) {
  failed_ |= sqlite3_bind_int64(statement_, next_++, value);
  return *this;
}
SqliteQuery& SqliteQuery::real(double value) {
  failed_ |= sqlite3_bind_double(statement_, next_++, value);
  return *this;
}
SqliteQuery& SqliteQuery::text(std::string_view value) {
  failed_ |= sqlite3_bind_text64(statement_, next_++, value.data() ? value.data() : "",
                                 value.size(), SQLITE_STATIC, SQLITE_UTF8);
  return *this;
}
SqliteQuery& SqliteQuery::blob(std::string_view value) {
  failed_ |= sqlite3_bind_blob64(statement_, next_++, value.data() ? value.data() : "",
                                 value.size(), SQLITE_STATIC);
  return *this;
}
SqliteQuery& SqliteQuery::null() {
  failed_ |= sqlite3_bind_null(statement_, next_++);
  return *this;
}

Result<bool> SqliteQuery::step() {
  if (failed_ != SQLITE_OK) {
    return fail(ErrorCode::kIo, "a value is too large for the journal " + database_->path());
  }
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return std::unexpected(database_->error(code));
}

Result<void> SqliteQuery::run() {
  for (;;) {
    auto row = step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return {};
  }
}

std::string_view SqliteQuery::get_bytes(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
  return bytes == nullptr ? std::string_view() : std::string_view(bytes, size);
}

Result<std::unique_ptr<SqliteDatabase>> SqliteDatabase::open(const SqliteStoreOptions& options) {
  std::unique_ptr<SqliteDatabase> opened(new SqliteDatabase());
  opened->path_ = options.path;
  opened->busy_us_ = std::int64_t{options.busy_ms} * 1000;
  const int code = sqlite3_open_v2(
      options.path.c_str(), &opened->database_,
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
      options.vfs.empty() ? nullptr : options.vfs.c_str());
  if (code != SQLITE_OK) return std::unexpected(opened->error(code));
  sqlite3_busy_handler(opened->database_, &wait_for_others, opened.get());
  // Only a writer that trusts its log (SqliteStore::trust_log) may move it into the file at its
  // end.
  sqlite3_db_config(opened->database_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  return opened;
}

SqliteDatabase::~SqliteDatabase() {
  for (auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close_v2(database_);
}

// Others hold the lock for about one sync of the disk, so the first tries come close together.
int SqliteDatabase::wait_for_others(void* self, int tries) {
  auto& database = *static_cast<SqliteDatabase*>(self);
  if (tries == 0) database.waited_us_ = 0;
  if (database.waited_us_ >= database.busy_us_) return 0;
  const std::int64_t pause = tries < 50 ? 100 : std::min<std::int64_t>(tries * 20, 20'000);
  usleep(static_cast<useconds_t>(pause));
  database.waited_us_ += pause;
  return 1;
}

Result<void> SqliteDatabase::run(const char* sql) {
  const int code = sqlite3_exec(database_, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return std::unexpected(error(code));
  return {};
}

Result<SqliteQuery> SqliteDatabase::query(const char* sql) {
  auto [found, is_new] = statements_.try_emplace(sql, nullptr);
  if (is_new) {
    const int code =
        sqlite3_prepare_v3(database_, sql, -1, SQLITE_PREPARE_PERSISTENT, &found->second, nullptr);
    if (code != SQLITE_OK) {
      statements_.erase(found);
      return std::unexpected(error(code));
    }
  }
  return Result<SqliteQuery>(std::in_place, found->second, *this);
}

Result<std::int64_t> SqliteDatabase::integer(const char* sql) {
  auto asked = query(sql);
  if (!asked) return std::unexpected(asked.error());
  auto row = asked->step();
  if (!row) return std::unexpected(row.error());
  return *row ? asked->get_integer(0) : 0;
}

Error SqliteDatabase::error(int code) const {
  const int number = database_ ? sqlite3_system_errno(database_) : 0;
  const std::string words = database_ ? sqlite3_errmsg(database_) : sqlite3_errstr(code);
  const std::string system = number != 0 ? fmt::format(" ({})", std::strerror(number)) : "";
  if (no_space(code, number)) {
    return Error(ErrorCode::kDiskFull,
                 fmt::format("no space is left for the journal {}; make room, then resume", path_));
  }
  switch (code & 0xff) {
    case SQLITE_CORRUPT:
      return Error(ErrorCode::kJournalDamaged,
                   fmt::format("the journal {} is damaged ({}); keep a copy of it, and see what is "
                               "whole with `sluice runs check`",
                               path_, words));
    case SQLITE_NOTADB:
      return Error(ErrorCode::kJournal,
                   fmt::format("{} is no Sluice journal: its first bytes are not those of a SQLite "
                               "database; name another file, or move this one away",
                               path_));
    case SQLITE_READONLY:
      return Error(ErrorCode::kIo,
                   fmt::format("the journal {} cannot be written; check the rights of the file and "
                               "of its folder",
                               path_));
    case SQLITE_CANTOPEN:
      return Error(ErrorCode::kIo,
                   fmt::format("the journal {} cannot be opened{}; check that its folder is there "
                               "and that you may write in it",
                               path_, system));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Error(ErrorCode::kIo, fmt::format("another process keeps the journal {} locked; see "
                                               "which one with `fuser {}`",
                                               path_, path_));
    default:
      return Error(ErrorCode::kIo,
                   fmt::format("the journal {} failed: {}{}", path_, words, system));
  }
}

void SqliteDatabase::roll_back() {
  if (in_transaction()) sqlite3_exec(database_, "ROLLBACK", nullptr, nullptr, nullptr);
}

}  // namespace sluice
