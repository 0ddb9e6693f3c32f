#include "host/result_cache.h"

#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "data/value_codec.h"
#include "host/cache_database.h"

namespace sluice {
namespace {

constexpr std::int64_t kMostRows = 200'000;
constexpr int kBusyTimeoutMs = 500;

}  // namespace

struct ResultCache::Impl {
  CacheDatabase database;
  const Clock& clock;

  Impl(std::filesystem::path file, const Clock& time)
      : database(std::move(file), "results are not cached"), clock(time) {}

  // Opened on first use: most runs have no step that is cached.
  bool open() {
    if (database.is_open() || database.given_up()) return database.is_open();
    if (!database.open(kBusyTimeoutMs)) return false;
    const bool made =
        database.run(
            "create table if not exists result(key blob primary key, created_ns integer "
            "not null, output blob not null) without rowid") &&
        database.run("create index if not exists result_created on result(created_ns)") &&
        database.run(fmt::format("delete from result where created_ns < (select created_ns from "
                                 "result order by created_ns desc limit 1 offset {})",
                                 kMostRows));
    return made || database.give_up();
  }

  CacheStatement prepare(std::string_view sql) {
    CacheStatement statement = database.prepare(sql);
    if (!statement) database.give_up();
    return statement;
  }
};

ResultCache::ResultCache(std::filesystem::path file, const Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(file), clock)) {}
ResultCache::~ResultCache() = default;
const std::string& ResultCache::problem() const { return impl_->database.problem; }

std::optional<Value> ResultCache::find(const Hash256& key, std::int64_t ttl_ms) {
  if (!impl_->open()) return std::nullopt;
  CacheStatement select =
      impl_->prepare("select output from result where key = ? and created_ns >= ?");
  if (!select) return std::nullopt;
  bind_hash(select.get(), 1, key);
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
  CacheStatement insert = impl_->prepare("insert or replace into result values (?, ?, ?)");
  if (!insert) return;
  const std::string bytes = encode_value(output);
  bind_hash(insert.get(), 1, key);
  sqlite3_bind_int64(insert.get(), 2, impl_->clock.wall_ns());
  sqlite3_bind_blob64(insert.get(), 3, bytes.data(), bytes.size(), SQLITE_STATIC);
  sqlite3_step(insert.get());
}

}  // namespace sluice
