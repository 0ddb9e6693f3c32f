#include "host/history/statistics_store.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "data/json.h"
#include "tests/host/scratch_dir.h"

namespace sluice {
namespace {

constexpr std::int64_t kDayNs = 24LL * 3600 * kNsPerSecond;

class StatisticsStoreTest : public testing::Test {
 protected:
  std::filesystem::path file() const { return dir.path() / "deep" / "statistics.sqlite"; }

  static StatisticsTable one(const Hash256& step, std::uint64_t tasks, double seconds = 1) {
    StatisticsTable table;
    table[step].tasks = table[step].calls = tasks;
    table[step].seconds.add(seconds, tasks);
    return table;
  }
  static void sql(const std::filesystem::path& file, const char* text) {
    sqlite3* raw = nullptr;
    ASSERT_EQ(sqlite3_open(file.c_str(), &raw), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(raw, text, nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(raw);
    sqlite3_close(raw);
  }

  ScratchDir dir;
  ManualClock clock{0, 1'700'000'000 * kNsPerSecond};
  Hash256 step = sha256("a step");
};

TEST_F(StatisticsStoreTest, KeepsWhatWasAddedForTheNextProcess) {
  {
    SqliteStatisticsStore store(file(), clock);
    EXPECT_FALSE(store.find(step).has_value());
    EXPECT_FALSE(std::filesystem::exists(file())) << "to ask makes no file";
    store.add({});
    EXPECT_FALSE(std::filesystem::exists(file()));
    store.add(one(step, 10));
    ASSERT_TRUE(store.find(step).has_value());
    EXPECT_EQ(store.find(step)->tasks, 10U);
    store.add(one(step, 5, 3));
    EXPECT_EQ(store.find(step)->tasks, 15U) << "what was asked before is asked again";
    EXPECT_TRUE(store.problem().empty()) << store.problem();
  }
  SqliteStatisticsStore again(file(), clock);
  ASSERT_TRUE(again.find(step).has_value());
  EXPECT_EQ(again.find(step)->seconds.count(), 15U);
  EXPECT_NEAR(again.find(step)->seconds.mean(), 25.0 / 15, 1e-9);
  EXPECT_FALSE(again.find(sha256("another")).has_value());
}

TEST_F(StatisticsStoreTest, WhatIsOldWeighsLess) {
  SqliteStatisticsStore store(file(), clock);
  store.add(one(step, 100));
  clock.advance_ns(29 * kDayNs);
  EXPECT_EQ(SqliteStatisticsStore(file(), clock).find(step)->tasks, 100U);
  clock.advance_ns(32 * kDayNs);
  EXPECT_EQ(SqliteStatisticsStore(file(), clock).find(step)->tasks, 25U) << "two months";
  store.add(one(step, 100));
  EXPECT_EQ(store.find(step)->tasks, 125U);
  clock.advance_ns(20'000 * kDayNs);
  EXPECT_EQ(SqliteStatisticsStore(file(), clock).find(step)->tasks, 0U);
  clock.step_wall_ns(-50'000 * kDayNs);
  EXPECT_EQ(SqliteStatisticsStore(file(), clock).find(step)->tasks, 125U) << "from the future";
}

TEST_F(StatisticsStoreTest, ManyCountsAreHalvedBeforeMoreComes) {
  SqliteStatisticsStore store(file(), clock);
  for (int i = 0; i < 40; ++i) store.add(one(step, 5'000, i < 20 ? 1 : 9));
  const StepStatistics now = *store.find(step);
  EXPECT_LE(now.tasks, SqliteStatisticsStore::kManyTasks + 5'000);
  EXPECT_NEAR(now.seconds.quantile(0.5), 9, 0.2) << "what came last says more";
}

TEST_F(StatisticsStoreTest, OfTooManyStepsTheOldestGo) {
  SqliteStatisticsStore store(file(), clock);
  const auto numbered = [](std::int64_t i) { return sha256("step " + std::to_string(i)); };
  const std::int64_t part = SqliteStatisticsStore::kMostSteps / 2;
  for (std::int64_t half = 0; half < 3; ++half) {
    StatisticsTable table;
    for (std::int64_t i = 0; i < part; ++i) table[numbered(half * part + i)].tasks = 1;
    store.add(table);
    clock.advance_ns(kNsPerSecond);
  }
  EXPECT_TRUE(store.problem().empty()) << store.problem();
  EXPECT_FALSE(store.find(numbered(0)).has_value());
  EXPECT_FALSE(store.find(numbered(part - 1)).has_value());
  EXPECT_TRUE(store.find(numbered(part)).has_value());
  EXPECT_TRUE(store.find(numbered(3 * part - 1)).has_value());
}

TEST_F(StatisticsStoreTest, SeveralProcessesAddAtOnce) {
  constexpr int kProcesses = 4;
  constexpr int kTimes = 50;
  std::vector<pid_t> children;
  for (int child = 0; child < kProcesses; ++child) {
    const pid_t pid = ::fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
      SqliteStatisticsStore store(file(), clock);
      for (int i = 0; i < kTimes; ++i) store.add(one(step, 1));
      ::_exit(store.problem().empty() ? 0 : 1);
    }
    children.push_back(pid);
  }
  for (pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  SqliteStatisticsStore store(file(), clock);
  ASSERT_TRUE(store.find(step).has_value()) << store.problem();
  EXPECT_EQ(store.find(step)->tasks, static_cast<std::uint64_t>(kProcesses * kTimes));
}

TEST_F(StatisticsStoreTest, ABrokenFileHasNothingToTellAndIsLeftAlone) {
  const std::string junk(4096, 'x');
  const auto broken = dir.write("broken.sqlite", junk);
  SqliteStatisticsStore store(broken, clock);
  EXPECT_FALSE(store.find(step).has_value());
  store.add(one(step, 1));
  EXPECT_FALSE(store.find(step).has_value());
  EXPECT_NE(store.problem().find("broken.sqlite"), std::string::npos) << store.problem();
  std::ifstream in(broken, std::ios::binary);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), junk);
}

TEST_F(StatisticsStoreTest, AFolderThatCannotBeMadeIsAProblemOnly) {
  dir.write("file", "x");
  SqliteStatisticsStore store(dir.path() / "file" / "statistics.sqlite", clock);
  EXPECT_FALSE(store.find(step).has_value());
  store.add(one(step, 1));
  EXPECT_FALSE(store.problem().empty());
}

TEST_F(StatisticsStoreTest, ANewerFormatIsNotTouched) {
  SqliteStatisticsStore(file(), clock).add(one(step, 3));
  sql(file(), "pragma user_version=9");
  SqliteStatisticsStore store(file(), clock);
  EXPECT_FALSE(store.find(step).has_value());
  store.add(one(step, 1));
  EXPECT_NE(store.problem().find("newer"), std::string::npos);
  sql(file(), "pragma user_version=1");
  EXPECT_EQ(SqliteStatisticsStore(file(), clock).find(step)->tasks, 3U);
}

TEST_F(StatisticsStoreTest, ARowThatCannotBeReadCountsAsNone) {
  SqliteStatisticsStore(file(), clock).add(one(step, 3));
  sql(file(), "update step set statistics = '{\"tasks\": -1'");
  SqliteStatisticsStore store(file(), clock);
  EXPECT_FALSE(store.find(step).has_value());
  store.add(one(step, 4));
  EXPECT_EQ(store.find(step)->tasks, 4U);
}

}  // namespace
}  // namespace sluice
