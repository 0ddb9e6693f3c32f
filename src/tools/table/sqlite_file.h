// A SQLite file of the table tool: opened, run, asked; SQLite's errors in words. Blocking; one
// thread at a time.
#pragma once

#include <sqlite3.h>

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "tools/sql/sql_statement.h"

namespace sluice {

class SqliteFile {
 public:
  // kAlone: written by this process only, while it is open; there is no shared memory beside it.
  enum class Use { kRead, kWrite, kAlone };
  static constexpr int kBusyWaitMs = 10'000;
  // Writing makes it where there is none. Waits so long while others have it locked. kFileMissing,
  // kFileDenied, kTableInvalid (no database), kSqlFailed, kDiskFull.
  static Result<SqliteFile> open(const std::filesystem::path& file, Use use,
                                 int busy_wait_ms = kBusyWaitMs);

  sqlite3* handle() const { return handle_.get(); }
  const std::string& name() const { return name_; }
  // Runs statements without arguments, and forgets their rows. kSqlFailed, kDiskFull.
  Result<void> run(const std::string& sql) const;
  Result<SqlStatement> prepare(std::string_view sql) const;
  // Names of its tables and views, sorted.
  Result<std::vector<std::string>> tables() const;
  // What SQLite says is wrong now, with the file's name.
  Error error() const;

 private:
  struct Close {
    void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
  };
  SqliteFile() = default;
  std::unique_ptr<sqlite3, Close> handle_;
  std::string name_;
};

}  // namespace sluice
