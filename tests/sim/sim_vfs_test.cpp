// SQLite itself over the simulated disk: what it acknowledged survives a death or a power cut at
// every single operation, and a database that is told not to sync is caught losing things.

#include "simulate/sim_vfs.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "sqlite3.h"

namespace sluice {
namespace {

class Database {
 public:
  explicit Database(const SimVfs& vfs, const std::string& settings) {
    opened_ = sqlite3_open_v2("db", &db_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                              vfs.name().c_str()) == SQLITE_OK &&
              run(settings);
  }
  ~Database() { sqlite3_close_v2(db_); }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  bool run(const std::string& sql) {
    return sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK;
  }
  std::string first(const std::string& sql) {
    std::string text = "(error)";
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(db_, sql.c_str(), -1, &statement, nullptr) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
      const auto* column = reinterpret_cast<const char*>(sqlite3_column_text(statement, 0));
      text = column != nullptr ? column : "null";
    }
    sqlite3_finalize(statement);
    return text;
  }
  bool opened() const { return opened_; }

 private:
  sqlite3* db_ = nullptr;
  bool opened_ = false;
};

constexpr const char* kWal =
    "pragma journal_mode = wal; pragma synchronous = full; pragma wal_autocheckpoint = 8;";
constexpr const char* kRollback = "pragma journal_mode = delete; pragma synchronous = extra;";
constexpr const char* kCareless = "pragma journal_mode = wal; pragma synchronous = off;";

struct Trial {
  bool finished = false;  // the process lived through all of its work
  int acknowledged = 0;   // rows whose commit came back
  int found = -1;         // rows afterwards; -1: the database is broken
  std::string integrity;
};

// Commits rows 1, 2, ... and dies at operation `death`; then the power goes, or only the process.
Trial commit_rows(std::uint64_t seed, std::uint64_t death, const char* settings, bool power) {
  SimMachine machine(seed);
  Trial trial;
  {
    SimVfs vfs(machine);
    std::uint64_t operations = 0;
    vfs.on_operation([&] { return ++operations == death; });
    Database db(vfs, settings);
    if (db.run("create table if not exists t (n integer primary key, filling text)")) {
      for (int row = 1; row <= 12; ++row) {
        if (!db.run(fmt::format("insert into t values ({}, '{}')", row,
                                std::string(700, static_cast<char>('a' + row))))) {
          break;
        }
        trial.acknowledged = row;
      }
    }
    trial.finished = !vfs.dead();
    vfs.die();
  }
  if (power) machine.power_cut();
  SimVfs vfs(machine);
  Database db(vfs, settings);
  trial.integrity = db.first("pragma integrity_check");
  db.run("create table if not exists t (n integer primary key, filling text)");
  const std::string count =
      db.first("select count(*) from t where n <= 12 and length(filling) = 700");
  if (count != "(error)") trial.found = std::stoi(count);
  return trial;
}

int count_lost(const char* settings, bool power, bool& broken) {
  int lost = 0;
  for (std::uint64_t death = 1; death < 2000; ++death) {
    Trial trial;
    for (std::uint64_t seed = 0; seed < 3; ++seed) {
      trial = commit_rows(death * 10 + seed, death, settings, power);
      broken = broken || trial.integrity != "ok";
      if (trial.found < trial.acknowledged) ++lost;
      EXPECT_LE(trial.found, trial.acknowledged + 1) << "a row that nobody wrote";
    }
    if (trial.finished) return lost;
  }
  ADD_FAILURE() << "the work never ends";
  return lost;
}

struct Case {
  const char* name;
  const char* settings;
  bool power;
};

class SimVfsAtEveryOperation : public testing::TestWithParam<Case> {};

TEST_P(SimVfsAtEveryOperation, NothingAcknowledgedIsLost) {
  bool broken = false;
  EXPECT_EQ(count_lost(GetParam().settings, GetParam().power, broken), 0);
  EXPECT_FALSE(broken);
}

INSTANTIATE_TEST_SUITE_P(Modes, SimVfsAtEveryOperation,
                         testing::Values(Case{"WalPowerCut", kWal, true},
                                         Case{"WalDeath", kWal, false},
                                         Case{"RollbackPowerCut", kRollback, true},
                                         Case{"CarelessDeath", kCareless, false}),
                         [](const auto& info) { return std::string(info.param.name); });

// The canary: without syncs a power cut must cost something, or this disk proves nothing.
TEST(SimVfs, ADatabaseThatDoesNotSyncIsCaught) {
  bool broken = false;
  const int lost = count_lost(kCareless, true, broken);
  EXPECT_TRUE(lost > 20 || broken) << lost << " rows lost";
}

TEST(SimVfs, TwoProcessesShareOneDatabaseAndItsLocks) {
  SimMachine machine(1);
  SimVfs first_vfs(machine), second_vfs(machine);
  Database first(first_vfs, kWal), second(second_vfs, kWal);
  ASSERT_TRUE(first.opened() && second.opened());
  ASSERT_TRUE(first.run("create table t (n)"));
  ASSERT_TRUE(first.run("begin immediate; insert into t values (1)"));
  EXPECT_FALSE(second.run("insert into t values (2)")) << "the first one is writing";
  EXPECT_EQ(second.first("select count(*) from t"), "0") << "readers see what is committed";
  ASSERT_TRUE(first.run("commit"));
  EXPECT_TRUE(second.run("insert into t values (2)"));
  EXPECT_EQ(first.first("select count(*) from t"), "2");
}

TEST(SimVfs, ADeadProcessGivesItsLocksBackAndWritesNoMore) {
  SimMachine machine(1);
  SimVfs second_vfs(machine);
  Database second(second_vfs, kWal);
  ASSERT_TRUE(second.run("create table t (n)"));
  {
    SimVfs first_vfs(machine);
    Database first(first_vfs, kWal);
    ASSERT_TRUE(first.run("begin immediate; insert into t values (1)"));
    first_vfs.die();
    EXPECT_FALSE(first.run("commit"));
  }
  EXPECT_TRUE(second.run("insert into t values (2)"));
  EXPECT_EQ(second.first("select group_concat(n) from t"), "2");
}

TEST(SimVfs, AFullDiskFailsTheCommitAndNothingElse) {
  SimMachine machine(1);
  SimVfs vfs(machine);
  Database db(vfs, kWal);
  ASSERT_TRUE(db.run("create table t (n, filling text)"));
  ASSERT_TRUE(db.run("insert into t values (1, 'a')"));
  machine.disk.faults.room_bytes = machine.disk.used_bytes();
  EXPECT_FALSE(db.run("insert into t values (2, hex(randomblob(9000)))"));
  machine.disk.faults.room_bytes = UINT64_MAX;
  EXPECT_EQ(db.first("select count(*) from t"), "1");
  EXPECT_TRUE(db.run("insert into t values (3, 'c')"));
  EXPECT_EQ(db.first("pragma integrity_check"), "ok");
}

}  // namespace
}  // namespace sluice
