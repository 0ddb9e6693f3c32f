// CacheDatabase: a SQLite file of the cache folder. What it holds only saves work, so it is opened
// on first use, never waits long, does not sync, and when it cannot be used it is given up, with
// one sentence for a warning. Several processes may have it open. One thread.
#pragma once

#include <sqlite3.h>

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "data/hash.h"

namespace sluice {

struct CloseStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using CacheStatement = std::unique_ptr<sqlite3_stmt, CloseStatement>;

class CacheDatabase {
 public:
  // `loss`: what its failing means, for people: "results are not cached".
  CacheDatabase(std::filesystem::path file, std::string loss);
  ~CacheDatabase();
  CacheDatabase(const CacheDatabase&) = delete;
  CacheDatabase& operator=(const CacheDatabase&) = delete;

  bool is_open() const { return database_ != nullptr; }
  bool given_up() const { return given_up_; }
  // False, and given up, when it does not work.
  bool open(int busy_timeout_ms);
  bool exists() const;
  bool run(const std::string& sql);              // false: it failed, and nothing more
  CacheStatement prepare(std::string_view sql);  // null when it failed
  // Always false. `why`: "" is what SQLite says. Statements must be gone.
  bool give_up(std::string_view why = "");
  std::string error() const;  // what SQLite says
  int status() const { return database_ ? sqlite3_errcode(database_.get()) : SQLITE_ERROR; }
  const std::filesystem::path& file() const { return file_; }
  // Why it is not used; "" when it works.
  std::string problem;

 private:
  struct Close {
    void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
  };
  std::filesystem::path file_;
  std::string loss_;
  std::unique_ptr<sqlite3, Close> database_;
  bool given_up_ = false;
};

void bind_hash(sqlite3_stmt* statement, int place, const Hash256& hash);

}  // namespace sluice
