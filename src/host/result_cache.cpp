#include "host/result_cache.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <string_view>
#include <utility>

#include "data/value_codec.h"

namespace sluice {
namespace {

constexpr std::int64_t kMostRows = 200'000;
constexpr int kBusyTimeoutMs = 500;

struct Close {
  void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Database = std::unique_ptr<sqlite3, Close>;
using Statement = std::unique_ptr<sqlite3_stmt, Close>;

}  // namespace

struct ResultCache::Impl {
  std::filesystem::path file;
  const Clock& clock;
  Database database;
  std::string problem;
  bool tried = false;

  Impl(std::filesystem::path given, const Clock& time) : file(std::move(given)), clock(time) {}

  // Opened on first use: most runs have no step that is cached.
  bool open() {
    if (std::exchange(tried, true)) return database != nullptr;
    std::error_code ignored;
    std::filesystem::create_directories(file.parent_path(), ignored);
    sqlite3* raw = nullptr;
    const int status =
        sqlite3_open_v2(file.c_str(), &raw,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
    database.reset(raw);
    if (status != SQLITE_OK) return give_up();
    sqlite3_busy_timeout(raw, kBusyTimeoutMs);
    return run("pragma journal_mode=wal") && run("pragma synchronous=off") &&
           run("create table if not exists result(key blob primary key, created_ns integer not "
               "null, output blob not null) without rowid") &&
           run("create index if not exists result_created on result(created_ns)") &&
           run(fmt::format("delete from result where created_ns < (select created_ns from result "
                           "order by created_ns desc limit 1 offset {})",
                           kMostRows));
  }

  bool give_up() {
    problem = fmt::format("results are not cached: {}: {}", file.string(),
                          database ? sqlite3_errmsg(database.get()) : "out of memory");
    database.reset();
    return false;
  }

  bool run(const std::string& sql) {
    return sqlite3_exec(database.get(), sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK ||
           give_up();
  }

  Statement prepare(std::string_view sql) {
    sqlite3_stmt* raw = nullptr;
    sqlite3_prepare_v2(database.get(), sql.data(), static_cast<int>(sql.size()), &raw, nullptr);
    if (raw == nullptr) give_up();
    return Statement(raw);
  }

  static void bind_key(sqlite3_stmt* statement, const Hash256& key) {
    sqlite3_bind_blob64(statement, 1, key.bytes.data(), key.bytes.size(), SQLITE_TRANSIENT);
  }
};

ResultCache::ResultCache(std::filesystem::path file, const Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(file), clock)) {}
ResultCache::~ResultCache() = default;
const std::string& ResultCache::problem() const { return impl_->problem; }

std::optional<Value> ResultCache::find(const Hash256& key, std::int64_t ttl_ms) {
  if (!impl_->open()) return std::nullopt;
  Statement select = impl_->prepare("select output from result where key = ? and created_ns >= ?");
  if (!select) return std::nullopt;
  Impl::bind_key(select.get(), key);
  const std::int64_t oldest = ttl_ms == 0 ? 0 : impl_->clock.wall_ns() - ttl_ms * kNsPerMs;
  sqlite3_bind_int64(select.get(), 2, oldest);
  if (sqlite3_step(select.get()) != SQLITE_ROW) return std::nullopt;
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(select.get(), 0));
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(select.get(), 0));
  auto value = decode_value({bytes, bytes == nullptr ? 0 : size});
  return value ? std::optional(std::move(*value)) : std::nullopt;
}

void ResultCache::put(const Hash256& key, const Value& output) {
  if (output.labels().secret || !impl_->open()) return;
  Statement insert = impl_->prepare("insert or replace into result values (?, ?, ?)");
  if (!insert) return;
  const std::string bytes = encode_value(output);
  Impl::bind_key(insert.get(), key);
  sqlite3_bind_int64(insert.get(), 2, impl_->clock.wall_ns());
  sqlite3_bind_blob64(insert.get(), 3, bytes.data(), bytes.size(), SQLITE_STATIC);
  sqlite3_step(insert.get());
}

}  // namespace sluice
