#include "host/history/result_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "data/value_codec.h"
#include "host/history/cache_database.h"

namespace sluice {
namespace {

// Another process that writes is not waited for by a run: the next try comes soon.
constexpr int kBusyTimeoutMs = 50;
constexpr std::size_t kMostWaiting = 4'096;  // results; beyond, with a file that stays busy, lost
constexpr std::int64_t kForEver = std::numeric_limits<std::int64_t>::max();
// A use is noted when the last note of one is so old: most look-ups write nothing.
constexpr std::int64_t kNoteUseNs = 3'600 * kNsPerSecond;
constexpr double kTrimTo = 0.9;   // of the bytes, so that not every write trims
constexpr int kTrimRows = 2'000;  // at once

// A new table and not new columns: what older programs kept is taken over once.
constexpr std::string_view kTables =
    "create table if not exists kept(key blob primary key, created_ns integer not null, used_ns "
    "integer not null, expires_ns integer not null, output blob not null);"
    "create index if not exists kept_used on kept(used_ns);"
    "create index if not exists kept_expires on kept(expires_ns);";

}  // namespace

struct ResultCache::Impl {
  CacheDatabase database;
  const Clock& clock;
  const Bounds bounds;
  const std::int64_t opened_ns;

  struct Waiting {
    std::int64_t created_ns = 0;
    std::int64_t expires_ns = kForEver;
    std::string bytes;
  };
  std::map<Hash256, Waiting> waiting;  // to be written
  std::size_t waiting_bytes = 0;
  std::int64_t first_ns = 0;       // when the first of them came
  std::int64_t not_before_ns = 0;  // the file was busy: the next try
  std::vector<Hash256> used;       // whose use is to be noted
  CacheStatement select;

  Impl(std::filesystem::path file, const Clock& time, Bounds limits)
      : database(std::move(file), "results are not cached"),
        clock(time),
        bounds(limits),
        opened_ns(time.wall_ns()) {}

  // Opened on first use: many runs call nothing whose results are kept.
  bool open() {
    if (database.is_open() || database.given_up()) return database.is_open();
    if (!database.open(kBusyTimeoutMs)) return false;
    const bool made = database.run(std::string(kTables)) && take_over_older() && tidy();
    if (made || busy()) return true;  // somebody else is making it
    return give_up();
  }

  bool busy() const {
    const int status = database.status();
    return status == SQLITE_BUSY || status == SQLITE_LOCKED;
  }

  bool give_up() {
    select.reset();
    return database.give_up();
  }

  bool take_over_older() {
    CacheStatement old =
        database.prepare("select 1 from sqlite_schema where type = 'table' and name = 'result'");
    if (!old || sqlite3_step(old.get()) != SQLITE_ROW) return true;
    old.reset();
    return database.run(fmt::format(
        "begin immediate; insert or ignore into kept select key, created_ns, created_ns, {}, "
        "output from result; drop table result; commit;",
        kForEver));
  }

  // What has gone out of date, and what there is no room for.
  bool tidy() {
    if (!database.run(fmt::format("delete from kept where expires_ns < {}", clock.wall_ns()))) {
      return false;
    }
    return trim();
  }

  bool trim() {
    if (file_bytes() <= bounds.bytes) return true;
    const auto most = static_cast<std::uint64_t>(static_cast<double>(bounds.bytes) * kTrimTo);
    for (std::uint64_t before = file_bytes(); before > most;) {
      const bool gone = database.run(fmt::format(
          "delete from kept where key in (select key from kept order by used_ns limit {})",
          kTrimRows));
      if (!gone) return false;
      const std::uint64_t now = file_bytes();
      if (now >= before) break;  // nothing is left
      before = now;
    }
    return true;
  }

  // Without pages that are free to be written again.
  std::uint64_t file_bytes() {
    const std::uint64_t all = number("pragma page_count");
    return (all - std::min(all, number("pragma freelist_count"))) * number("pragma page_size");
  }

  std::uint64_t number(std::string_view pragma) {
    CacheStatement statement = database.prepare(pragma);
    if (!statement || sqlite3_step(statement.get()) != SQLITE_ROW) return 0;
    return static_cast<std::uint64_t>(sqlite3_column_int64(statement.get(), 0));
  }

  std::optional<Found> find_waiting(const Hash256& key, std::int64_t oldest_ns) const {
    auto found = waiting.find(key);
    if (found == waiting.end() || found->second.created_ns < oldest_ns) return std::nullopt;
    auto value = decode_value(found->second.bytes);
    if (!value) return std::nullopt;
    return Found{std::move(*value), false};
  }

  std::optional<Found> find_kept(const Hash256& key, std::int64_t oldest_ns) {
    if (!select) {
      select = database.prepare(
          "select output, created_ns, used_ns from kept where key = ? and created_ns >= ?");
      if (!select) {
        if (!busy()) give_up();
        return std::nullopt;
      }
    }
    bind_hash(select.get(), 1, key);
    sqlite3_bind_int64(select.get(), 2, oldest_ns);
    std::optional<Found> made;
    const int status = sqlite3_step(select.get());
    if (status == SQLITE_ROW) {
      const auto* bytes = static_cast<const char*>(sqlite3_column_blob(select.get(), 0));
      const auto size = static_cast<std::size_t>(sqlite3_column_bytes(select.get(), 0));
      auto value = decode_value({bytes, bytes == nullptr ? 0 : size});
      const std::int64_t created_ns = sqlite3_column_int64(select.get(), 1);
      const std::int64_t used_ns = sqlite3_column_int64(select.get(), 2);
      if (value) made = Found{std::move(*value), created_ns < opened_ns};
      if (made && clock.wall_ns() - used_ns > kNoteUseNs) used.push_back(key);
    }
    sqlite3_reset(select.get());
    const bool broken = status != SQLITE_ROW && status != SQLITE_DONE && status != SQLITE_BUSY;
    if (broken) give_up();
    return made;
  }

  bool due() const {
    if (clock.wall_ns() < not_before_ns) return false;
    if (waiting.empty()) return used.size() >= bounds.group;
    return waiting.size() >= bounds.group || waiting_bytes >= bounds.group_bytes ||
           clock.wall_ns() - first_ns >= bounds.group_ns;
  }

  void flush() {
    if (waiting.empty() && used.empty()) return;
    if (!open()) return forget();
    if (!database.run("begin immediate")) {
      if (!busy()) give_up();
      if (waiting.size() > kMostWaiting || !database.is_open()) forget();
      not_before_ns = clock.wall_ns() + bounds.group_ns;
      return;
    }
    const bool written = write_waiting() && note_uses() && database.run("commit");
    if (!written) database.run("rollback");
    if (!written && !busy()) give_up();
    forget();
    if (database.is_open() && !trim() && !busy()) give_up();
  }

  void forget() {
    waiting.clear();
    waiting_bytes = 0;
    used.clear();
  }

  bool write_waiting() {
    CacheStatement insert = database.prepare("insert or replace into kept values (?, ?, ?, ?, ?)");
    if (!insert) return false;
    for (const auto& [key, one] : waiting) {
      bind_hash(insert.get(), 1, key);
      sqlite3_bind_int64(insert.get(), 2, one.created_ns);
      sqlite3_bind_int64(insert.get(), 3, one.created_ns);
      sqlite3_bind_int64(insert.get(), 4, one.expires_ns);
      sqlite3_bind_blob64(insert.get(), 5, one.bytes.data(), one.bytes.size(), SQLITE_STATIC);
      if (sqlite3_step(insert.get()) != SQLITE_DONE) return false;
      sqlite3_reset(insert.get());
    }
    return true;
  }

  bool note_uses() {
    CacheStatement update = database.prepare("update kept set used_ns = ? where key = ?");
    if (!update) return false;
    for (const Hash256& key : used) {
      sqlite3_bind_int64(update.get(), 1, clock.wall_ns());
      bind_hash(update.get(), 2, key);
      if (sqlite3_step(update.get()) != SQLITE_DONE) return false;
      sqlite3_reset(update.get());
    }
    return true;
  }
};

ResultCache::ResultCache(std::filesystem::path file, const Clock& clock)
    : ResultCache(std::move(file), clock, Bounds()) {}
ResultCache::ResultCache(std::filesystem::path file, const Clock& clock, Bounds bounds)
    : impl_(std::make_unique<Impl>(std::move(file), clock, bounds)) {}
ResultCache::~ResultCache() { impl_->flush(); }
const std::string& ResultCache::problem() const { return impl_->database.problem; }
void ResultCache::flush() { impl_->flush(); }

std::optional<ResultCache::Found> ResultCache::find(const Hash256& key, std::int64_t ttl_ms) {
  const std::int64_t oldest_ns = ttl_ms == 0 ? 0 : impl_->clock.wall_ns() - ttl_ms * kNsPerMs;
  if (auto found = impl_->find_waiting(key, oldest_ns)) return found;
  if (!impl_->open()) return std::nullopt;
  auto found = impl_->find_kept(key, oldest_ns);
  if (impl_->due()) impl_->flush();
  return found;
}

void ResultCache::put(const Hash256& key, const Value& output, std::int64_t ttl_ms) {
  if (output.labels().secret || !impl_->open()) return;
  Impl::Waiting one;
  one.bytes = encode_value(output);
  if (one.bytes.size() > impl_->bounds.result_bytes) return;
  one.created_ns = impl_->clock.wall_ns();
  if (ttl_ms > 0) one.expires_ns = one.created_ns + ttl_ms * kNsPerMs;
  if (impl_->waiting.empty()) impl_->first_ns = one.created_ns;
  auto [at, is_new] = impl_->waiting.try_emplace(key);
  impl_->waiting_bytes -= std::min(impl_->waiting_bytes, at->second.bytes.size());
  impl_->waiting_bytes += one.bytes.size();
  at->second = std::move(one);
  if (impl_->due()) impl_->flush();
}

}  // namespace sluice
