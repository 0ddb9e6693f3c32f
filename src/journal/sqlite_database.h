// SqliteDatabase: one connection to a store's file, with its prepared statements, and SQLite's
// errors in words for people. One thread at a time.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/error.h"
#include "journal/journal_store.h"

namespace sluice {

// A use of a prepared statement: reset when it goes. Text and blobs are bound without a copy, so
// they must outlive it. The first thing that goes wrong is kept for `step`.
class SqliteQuery {
 public:
  SqliteQuery(sqlite3_stmt* statement, const class SqliteDatabase& database)
      : statement_(statement), database_(&database) {}
  ~SqliteQuery();
  SqliteQuery(const SqliteQuery&) = delete;
  SqliteQuery& operator=(const SqliteQuery&) = delete;

  // Arguments in order, from the first `?` on.
  SqliteQuery& integer(std::int64_t value);
  SqliteQuery& number(std::uint64_t value) { return integer(static_cast<std::int64_t>(value)); }
  SqliteQuery& real(double value);
  SqliteQuery& text(std::string_view value);
  SqliteQuery& blob(std::string_view value);
  SqliteQuery& null();

  // True: there is a row.
  Result<bool> step();
  // Runs it to its end.
  Result<void> run();

  std::int64_t get_integer(int column) const { return sqlite3_column_int64(statement_, column); }
  std::uint64_t get_number(int column) const {
    return static_cast<std::uint64_t>(get_integer(column));
  }
  double get_real(int column) const { return sqlite3_column_double(statement_, column); }
  std::string_view get_bytes(int column) const;  // until the next step

 private:
  sqlite3_stmt* statement_;
  const class SqliteDatabase* database_;
  int next_ = 1;
  int failed_ = SQLITE_OK;
};

class SqliteDatabase {
 public:
  // Opens it; what it holds is not looked at. kIo.
  static Result<std::unique_ptr<SqliteDatabase>> open(const SqliteStoreOptions& options);
  ~SqliteDatabase();
  SqliteDatabase(const SqliteDatabase&) = delete;
  SqliteDatabase& operator=(const SqliteDatabase&) = delete;

  sqlite3* handle() const { return database_; }
  const std::string& path() const { return path_; }
  // Runs SQL without arguments and forgets its rows.
  Result<void> run(const char* sql);
  // Of SQL that is a literal: prepared on first use, then kept. Not in use elsewhere.
  Result<SqliteQuery> query(const char* sql);
  Result<std::int64_t> integer(const char* sql);
  // What SQLite says is wrong now.
  Error error(int code) const;
  // Whether a transaction is open.
  bool in_transaction() const { return sqlite3_get_autocommit(database_) == 0; }
  // Ends a transaction that cannot go on; says nothing of its own.
  void roll_back();

 private:
  SqliteDatabase() = default;
  static int wait_for_others(void* self, int tries);

  sqlite3* database_ = nullptr;
  std::string path_;
  std::int64_t busy_us_ = 0;
  std::int64_t waited_us_ = 0;
  std::unordered_map<const char*, sqlite3_stmt*> statements_;
};

}  // namespace sluice
