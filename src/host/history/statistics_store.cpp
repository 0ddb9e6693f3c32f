#include "host/history/statistics_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include "data/json.h"
#include "host/history/cache_database.h"

namespace sluice {
namespace {

constexpr int kSchema = 1;
constexpr int kBusyTimeoutMs = 1'000;
constexpr std::int64_t kMonthNs = 30LL * 24 * 3600 * kNsPerSecond;
constexpr std::int64_t kMostHalvings = 16;
constexpr std::size_t kMostRemembered = 20'000;  // of what was asked for, until it is forgotten

std::uint64_t weight_of(const StepStatistics& step) {
  return std::max(step.tasks + step.cached, step.conditions);
}

}  // namespace

struct SqliteStatisticsStore::Impl {
  CacheDatabase database;
  const Clock& clock;
  CacheStatement select;
  CacheStatement write;
  std::map<Hash256, std::optional<StepStatistics>> remembered;

  Impl(std::filesystem::path file, const Clock& time)
      : database(std::move(file), "what runs tell of their steps is not kept"), clock(time) {}

  // `make`: also where there is no file yet.
  bool open(bool make) {
    if (database.is_open() || database.given_up()) return database.is_open();
    if (!make && !database.exists()) return false;
    return database.open(kBusyTimeoutMs) && make_schema() && prepare_all();
  }

  bool make_schema() {
    const std::optional<int> version = read_version();
    if (!version) return database.give_up();
    if (*version > kSchema) return database.give_up("a newer version of Sluice wrote it");
    if (*version == kSchema) return true;
    // Another process may do the same at the same time: whoever is second finds it done.
    const bool made =
        database.run("begin immediate") &&
        database.run(
            "create table if not exists step(hash blob primary key, updated_ns integer "
            "not null, statistics text not null) without rowid") &&
        database.run("create index if not exists step_updated on step(updated_ns)") &&
        database.run(fmt::format("pragma user_version={}", kSchema)) && database.run("commit");
    return made || database.give_up();
  }

  std::optional<int> read_version() {
    CacheStatement version = database.prepare("pragma user_version");
    if (!version || sqlite3_step(version.get()) != SQLITE_ROW) return std::nullopt;
    return sqlite3_column_int(version.get(), 0);
  }

  bool prepare_all() {
    select = database.prepare("select statistics, updated_ns from step where hash = ?");
    write = database.prepare("insert or replace into step values (?, ?, ?)");
    if (select && write) return true;
    select.reset();
    write.reset();
    return database.give_up();
  }

  // As it weighs now; nullopt: not there, or not to be read.
  std::optional<StepStatistics> read(const Hash256& step) {
    sqlite3_stmt* found = select.get();
    bind_hash(found, 1, step);
    std::optional<StepStatistics> made;
    if (sqlite3_step(found) == SQLITE_ROW) {
      const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(found, 0));
      const auto size = static_cast<std::size_t>(sqlite3_column_bytes(found, 0));
      const auto json = parse_json({text, text == nullptr ? 0 : size});
      auto read = json ? StepStatistics::from_json(*json)
                       : Result<StepStatistics>(std::unexpected(json.error()));
      if (read) {
        made = std::move(*read);
        const std::int64_t rested_ns =
            std::max<std::int64_t>(clock.wall_ns() - sqlite3_column_int64(found, 1), 0);
        const std::int64_t months = std::min(rested_ns / kMonthNs, kMostHalvings);
        for (std::int64_t month = 0; month < months; ++month) made->age();
      }
    }
    sqlite3_reset(found);
    return made;
  }

  bool put(const Hash256& step, const StepStatistics& statistics) {
    const std::string text = to_json(statistics.to_json());
    bind_hash(write.get(), 1, step);
    sqlite3_bind_int64(write.get(), 2, clock.wall_ns());
    sqlite3_bind_text64(write.get(), 3, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8);
    const bool written = sqlite3_step(write.get()) == SQLITE_DONE;
    sqlite3_reset(write.get());
    sqlite3_clear_bindings(write.get());
    return written;
  }

  // What was not seen for longest goes.
  bool forget() {
    return database.run(
        fmt::format("delete from step where updated_ns < (select updated_ns from step order "
                    "by updated_ns desc limit 1 offset {})",
                    kMostSteps - 1));
  }
};

SqliteStatisticsStore::SqliteStatisticsStore(std::filesystem::path file, const Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(file), clock)) {}
SqliteStatisticsStore::~SqliteStatisticsStore() = default;
std::string SqliteStatisticsStore::problem() const { return impl_->database.problem; }

std::optional<StepStatistics> SqliteStatisticsStore::find(const Hash256& step) const {
  const auto known = impl_->remembered.find(step);
  if (known != impl_->remembered.end()) return known->second;
  if (!impl_->open(false)) return std::nullopt;
  auto found = impl_->read(step);
  if (impl_->remembered.size() < kMostRemembered) impl_->remembered.emplace(step, found);
  return found;
}

void SqliteStatisticsStore::add(const StatisticsTable& table) {
  impl_->remembered.clear();
  if (table.empty() || !impl_->open(true)) return;
  // Nothing is half added: all of a run's steps, or none.
  bool good = impl_->database.run("begin immediate");
  for (auto step = table.begin(); good && step != table.end(); ++step) {
    StepStatistics all = impl_->read(step->first).value_or(StepStatistics{});
    while (weight_of(all) > kManyTasks) all.age();
    all.merge(step->second);
    good = impl_->put(step->first, all);
  }
  if (good && impl_->forget() && impl_->database.run("commit")) return;
  impl_->database.problem = fmt::format("what this run told of its steps is lost: {}: {}",
                                        impl_->database.file().string(), impl_->database.error());
  impl_->database.run("rollback");
}

}  // namespace sluice
