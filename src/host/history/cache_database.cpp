#include "host/history/cache_database.h"

#include <fmt/format.h>

#include <utility>

namespace sluice {

CacheDatabase::CacheDatabase(std::filesystem::path file, std::string loss)
    : file_(std::move(file)), loss_(std::move(loss)) {}
CacheDatabase::~CacheDatabase() = default;

bool CacheDatabase::open(int busy_timeout_ms) {
  if (database_ != nullptr) return true;
  if (given_up_) return false;
  std::error_code ignored;
  std::filesystem::create_directories(file_.parent_path(), ignored);
  sqlite3* raw = nullptr;
  const int status =
      sqlite3_open_v2(file_.c_str(), &raw,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  database_.reset(raw);
  if (status != SQLITE_OK) return give_up();
  sqlite3_busy_timeout(raw, busy_timeout_ms);
  // Busy: another process is just changing the mode, or has; either one works.
  if (!run("pragma journal_mode=wal") && sqlite3_errcode(raw) != SQLITE_BUSY) return give_up();
  return run("pragma synchronous=off") || give_up();
}

bool CacheDatabase::exists() const {
  std::error_code ignored;
  return std::filesystem::exists(file_, ignored);
}

bool CacheDatabase::run(const std::string& sql) {
  return sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK;
}

CacheStatement CacheDatabase::prepare(std::string_view sql) {
  sqlite3_stmt* raw = nullptr;
  sqlite3_prepare_v2(database_.get(), sql.data(), static_cast<int>(sql.size()), &raw, nullptr);
  return CacheStatement(raw);
}

bool CacheDatabase::give_up(std::string_view why) {
  problem =
      fmt::format("{}: {}: {}", loss_, file_.string(), why.empty() ? error() : std::string(why));
  database_.reset();
  given_up_ = true;
  return false;
}

std::string CacheDatabase::error() const {
  return database_ ? sqlite3_errmsg(database_.get()) : "out of memory";
}

void bind_hash(sqlite3_stmt* statement, int place, const Hash256& hash) {
  sqlite3_bind_blob64(statement, place, hash.bytes.data(), hash.bytes.size(), SQLITE_TRANSIENT);
}

}  // namespace sluice
