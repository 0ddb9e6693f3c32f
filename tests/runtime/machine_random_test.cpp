// The state machine under random plans and random orders of events: 10,000 seeds.

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <string>

#include "base/failpoint.h"
#include "tests/runtime/random_world.h"

namespace sluice::testing {
namespace {

struct Kind {
  const char* name;
  WorldOptions options;
  std::uint64_t share;  // of the seeds, in tenths
};

const Kind kKinds[] = {
    {"failures", {}, 3},
    {"doubt", {.failure = 0.3, .doubt = 0.5}, 2},
    {"doubt_for_good", {.failure = 0.1, .doubt = 0.5, .settles = false}, 1},
    {"cancels", {.cancels = true, .doubt = 0.3}, 1},
    {"undo", {.failure = 0.15, .doubt = 0.2, .shape = {.undo = true}}, 1},
    {"cancels_with_undo", {.cancels = true, .doubt = 0.2, .shape = {.undo = true}}, 2},
};

std::uint64_t seeds() {
  const char* text = std::getenv("SLUICE_SEEDS");
  if (text) return std::strtoull(text, nullptr, 10);
  return std::getenv("SLUICE_TEST_LONG") ? 400'000 : 10'000;
}

std::string first_lines(const WorldReport& report) {
  std::string lines;
  for (const std::string& violation : report.violations) lines += "\n  " + violation;
  return lines;
}

// One seed, for a person: SLUICE_SEED=605 SLUICE_KIND=3 SLUICE_TEST_TRACE=1 test_runtime
// --gtest_filter='*OneSeed'
TEST(MachineRandom, OneSeed) {
  const char* text = std::getenv("SLUICE_SEED");
  const char* kind = std::getenv("SLUICE_KIND");
  WorldOptions options = kKinds[kind ? std::strtoul(kind, nullptr, 10) : 0].options;
  if (const char* order = std::getenv("SLUICE_ORDER")) {
    options.order = std::strtoull(order, nullptr, 10);
    options.signals_race = false;
    options.shape.limits = false;
  }
  if (const char* every = std::getenv("SLUICE_SNAPSHOTS")) {
    options.snapshot_every = std::strtoull(every, nullptr, 10);
  }
  WorldReport report = run_random_world(text ? std::strtoull(text, nullptr, 10) : 1, options);
  EXPECT_TRUE(report.violations.empty()) << first_lines(report);
}

TEST(MachineRandom, InvariantsHold) {
  std::map<RunStatus, std::uint64_t> ends;
  std::uint64_t calls = 0, undone = 0, waits = 0, doubts = 0, bad = 0;
  for (std::size_t kind = 0; kind < std::size(kKinds); ++kind) {
    const WorldOptions& options = kKinds[kind].options;
    const std::uint64_t first = kind * 1'000'000 + 1;
    const std::uint64_t last = first + seeds() * kKinds[kind].share / 10;
    for (std::uint64_t seed = first; seed < last && bad < 5; ++seed) {
      WorldReport report = run_random_world(seed, options);
      calls += report.calls;
      undone += report.undone;
      waits += report.waits;
      doubts += report.doubts;
      ++ends[report.status];
      if (!report.violations.empty()) ++bad;
      EXPECT_TRUE(report.violations.empty())
          << "seed " << seed << " of kind " << kind << first_lines(report);
      if (seed % 20 != 0) continue;
      WorldReport again = run_random_world(seed, options);
      EXPECT_EQ(report.fingerprint, again.fingerprint)
          << "seed " << seed << " is not deterministic";
    }
  }
  EXPECT_GT(calls, seeds()) << "the generator makes plans that call nothing";
  EXPECT_GT(undone, 0u);
  EXPECT_GT(waits, 0u);
  EXPECT_GT(doubts, 0u);
  for (RunStatus status : {RunStatus::kSucceeded, RunStatus::kFailed, RunStatus::kCancelled,
                           RunStatus::kInDoubt, RunStatus::kBudgetSpent}) {
    EXPECT_GT(ends[status], 0u) << run_status_name(status);
  }
}

// Without limits nothing hangs on what came first: the same answers in another order lead to the
// same ends.
TEST(MachineRandom, TheOrderOfEventsDoesNotMatter) {
  WorldOptions options{.doubt = 0.3, .signals_race = false, .shape = {.limits = false}};
  for (std::uint64_t seed = 1; seed < 1 + seeds() / 20; ++seed) {
    options.order = 0;
    WorldReport report = run_random_world(seed, options);
    EXPECT_TRUE(report.violations.empty()) << "seed " << seed << first_lines(report);
    options.order = 1;
    WorldReport other = run_random_world(seed, options);
    EXPECT_EQ(report.status, other.status) << "seed " << seed;
    EXPECT_EQ(report.ends, other.ends) << "seed " << seed;
    if (HasFailure()) return;
  }
}

TEST(MachineRandom, ASnapshotGoesOnAsIfNothingHadBeen) {
  std::uint64_t snapshots = 0;
  for (std::size_t kind = 0; kind < std::size(kKinds); ++kind) {
    for (std::uint64_t seed = 1; seed <= seeds() / 100; ++seed) {
      WorldOptions options = kKinds[kind].options;
      WorldReport report = run_random_world(seed, options);
      options.snapshot_every = 1 + seed % 7;
      WorldReport moved = run_random_world(seed, options);
      snapshots += moved.snapshots;
      EXPECT_TRUE(moved.violations.empty())
          << "seed " << seed << " of kind " << kind << first_lines(moved);
      EXPECT_EQ(report.fingerprint, moved.fingerprint) << "seed " << seed << " of kind " << kind;
      if (HasFailure()) return;
    }
  }
  EXPECT_GT(snapshots, seeds() / 10);
}

// The mistakes that can be switched on in the machine: this world finds each.
TEST(MachineRandom, EveryInjectedMistakeIsFound) {
  constexpr Failpoint kMistakes[] = {
      Failpoint::kTimerForgotten,        Failpoint::kDoubtTakenAsDone,
      Failpoint::kSignalTakenTwice,      Failpoint::kSignalValueLost,
      Failpoint::kBudgetNotCharged,      Failpoint::kPlaceReleasedTwice,
      Failpoint::kUndoInStartOrder,      Failpoint::kUndoUnfinished,
      Failpoint::kKeyOfAttempt,          Failpoint::kLateEndTaken,
      Failpoint::kSnapshotForgetsTimers,
  };
  for (Failpoint mistake : kMistakes) {
    FailpointScope on(mistake);
    std::uint64_t tried = 0;
    bool found = false;
    for (; tried < 2000 && !found; ++tried) {
      WorldOptions options = kKinds[tried % std::size(kKinds)].options;
      if (tried % 2 == 0) options.snapshot_every = 5;
      found = !run_random_world(tried, options).violations.empty();
    }
    const std::string name(failpoints()[static_cast<std::size_t>(mistake)].name);
    EXPECT_TRUE(found) << name;
    RecordProperty(name, static_cast<int>(tried));
    if (std::getenv("SLUICE_TEST_TRACE")) printf("%s: %d\n", name.c_str(), static_cast<int>(tried));
  }
}

}  // namespace
}  // namespace sluice::testing
