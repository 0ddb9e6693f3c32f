// The SQLite store on a disk whose syncs fail: the system then forgets what it has not written and
// shows it all the same. What is acknowledged later must not stand on that, in the same process or
// in the next one.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "journal/journal_store.h"
#include "simulate/sim_vfs.h"

namespace sluice {
namespace {

class Store {
 public:
  explicit Store(SimMachine& machine) : vfs_(machine) {
    auto opened =
        open_sqlite_store({.path = "store", .vfs = vfs_.name(), .lock_files = false, .busy_ms = 0});
    if (opened) store_ = std::move(*opened);
  }
  JournalStore* get() { return store_.get(); }
  SimVfs& vfs() { return vfs_; }

  bool append(const RunLease& lease, JournalSeq seq) {
    RunCommit commit{.lease = lease, .first_seq = seq};
    commit.records.push_back({16, 1, fmt::format("record {} {}", seq, std::string(600, 'x'))});
    return store_->commit({&commit, 1}) && commit.outcome;
  }
  JournalSeq last() {
    JournalSeq last = 0;
    auto read = store_->read("run", 1, [&](JournalSeq seq, const JournalRecord&) {
      last = seq;
      return true;
    });
    EXPECT_TRUE(read) << read.error().to_string();
    return last;
  }

 private:
  SimVfs vfs_;
  std::unique_ptr<JournalStore> store_;
};

struct Begun {
  std::unique_ptr<Store> store;
  RunLease lease;
};

Begun begin(SimMachine& machine) {
  Begun begun{std::make_unique<Store>(machine), {}};
  begun.lease = *begun.store->get()->create_run("run", {}, {});
  EXPECT_TRUE(begun.store->append(begun.lease, 1));
  return begun;
}

JournalSeq after_power_cut(SimMachine& machine) {
  machine.power_cut();
  Store store(machine);
  if (store.get() == nullptr) return 0;
  return store.last();
}

TEST(SimStore, AfterAFailedSyncTheSameProcessPromisesOnlyWhatIsThere) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SimMachine machine(seed);
    Begun run = begin(machine);
    machine.disk.faults.sync_error = 1;
    EXPECT_FALSE(run.store->append(run.lease, 2));
    machine.disk.faults.sync_error = 0;
    const auto last = run.store->get()->last_seq(run.lease);
    ASSERT_TRUE(last);
    ASSERT_TRUE(run.store->append(run.lease, *last + 1));
    run.store->vfs().die();
    run.store.reset();
    EXPECT_EQ(after_power_cut(machine), *last + 1) << "seed " << seed;
  }
}

TEST(SimStore, AfterAFailedSyncTheNextProcessPromisesOnlyWhatIsThere) {
  for (bool dies : {true, false}) {
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
      SimMachine machine(seed);
      {
        Begun run = begin(machine);
        machine.disk.faults.sync_error = 1;
        EXPECT_FALSE(run.store->append(run.lease, 2));
        if (dies) run.store->vfs().die();
      }
      machine.disk.faults.sync_error = 0;
      JournalSeq last = 0;
      {
        Store next(machine);
        auto taken = next.get()->take_over("run");
        ASSERT_TRUE(taken);
        last = taken->last_seq;
        ASSERT_TRUE(next.append(taken->lease, ++last));
        next.vfs().die();
      }
      EXPECT_EQ(after_power_cut(machine), last) << "seed " << seed;
    }
  }
}

// The next process dies, with the machine, at every operation of its own recovery.
TEST(SimStore, AfterAFailedSyncNoCrashBreaksTheFile) {
  for (std::uint64_t death = 1; death < 60; ++death) {
    for (std::uint64_t seed = 0; seed < 40; ++seed) {
      SimMachine machine(seed);
      {
        Begun run = begin(machine);
        machine.disk.faults.sync_error = 1;
        EXPECT_FALSE(run.store->append(run.lease, 2));
      }
      machine.disk.faults.sync_error = 0;
      {
        Store next(machine);
        std::uint64_t operations = 0;
        next.vfs().on_operation([&] { return ++operations == death; });
        if (auto taken = next.get()->take_over("run")) {
          next.append(taken->lease, taken->last_seq + 1);
        }
        next.vfs().die();
      }
      EXPECT_GE(after_power_cut(machine), 1u) << "death " << death << ", seed " << seed;
    }
  }
}

}  // namespace
}  // namespace sluice
