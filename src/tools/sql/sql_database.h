// One SQLite connection of the sql tool: bound parameters, rows as objects, no way out of the
// database file. Blocking; one thread at a time, except interrupt, which any thread may call.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "base/error.h"
#include "data/value.h"

struct sqlite3;

namespace sluice {

struct SqlRequest {
  std::string sql;
  Value args;    // null, an array for ?, or an object for :name
  Value tables;  // null, or {name: array of objects}
  std::uint64_t max_bytes = 0;
};

class SqlDatabase {
 public:
  // "" opens a database in memory. kToolStart.
  static Result<std::unique_ptr<SqlDatabase>> open(const std::filesystem::path& path,
                                                   const std::string& init);
  ~SqlDatabase();
  SqlDatabase(const SqlDatabase&) = delete;
  SqlDatabase& operator=(const SqlDatabase&) = delete;

  // One statement that only reads; an array of objects.
  Result<Value> query(const SqlRequest& request);
  // One statement, or several without args, in one transaction: {changes, last_id}, and `rows`
  // when the statement returns some.
  Result<Value> exec(const SqlRequest& request);

  // Makes what runs now, and whatever runs until allow(), fail.
  void interrupt();
  void allow();

 private:
  SqlDatabase() = default;
  Error error(std::string_view what) const;
  Result<Value> query_with_tables(const SqlRequest& request);
  Result<void> create_table(const std::string& name, const Value& rows);
  Result<void> fill_table(const std::string& name, const std::vector<std::string>& columns,
                          const Value& rows);
  Result<Value> exec_statements(const SqlRequest& request);
  Result<void> run_plain(const std::string& sql);
  static int on_busy(void* self, int count);
  static int on_progress(void* self);

  sqlite3* handle_ = nullptr;
  std::atomic<bool> interrupted_{false};
};

}  // namespace sluice
