// Histories by seed: random plans, crashes, people and trouble. How many: as many as fit into
// SLUICE_SIM_SECONDS (60), 10,000 with SLUICE_TEST_LONG, or SLUICE_SEEDS=N; SLUICE_SEED=N is one.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>

#include "base/clock.h"
#include "simulate/world.h"
#include "tests/sim/sim_seeds.h"

namespace sluice::testing {
namespace {

struct Tally {
  std::uint64_t seeds = 0, ended = 0, in_doubt = 0, damaged = 0, crashes = 0, deeds = 0, sqlite = 0;
  std::uint64_t forks = 0, refused = 0, reused = 0, nested = 0, replans = 0;
  std::map<RunStatus, std::uint64_t> ends;

  void add(const Scenario& scenario, const WorldReport& report) {
    ++seeds;
    sqlite += scenario.sqlite;
    ended += report.ended;
    in_doubt += report.in_doubt;
    damaged += report.damaged;
    crashes += report.crashes;
    deeds += report.deeds;
    forks += report.forks;
    refused += report.refused;
    reused += report.reused;
    nested += report.nested_restored;
    replans += report.replans;
    if (report.ended) ++ends[report.status];
  }
};

class Limit {
 public:
  bool reached(std::uint64_t done) const {
    if (seeds_ > 0) return done >= seeds_;
    return done > 200 && system_clock().steady_ns() - begun_ns_ > seconds_ * kNsPerSecond;
  }

 private:
  std::uint64_t seeds_ = number_from("SLUICE_SEEDS", long_tests() ? 10'000 : 0);
  std::int64_t seconds_ = static_cast<std::int64_t>(number_from("SLUICE_SIM_SECONDS", 60));
  SteadyNs begun_ns_ = system_clock().steady_ns();
};

TEST(Simulation, EverySeedKeepsItsPromises) {
  Tally tally;
  const Limit limit;
  int failed = 0;
  for (std::uint64_t seed = 1; failed < 3 && !limit.reached(seed - 1); ++seed) {
    const Scenario scenario = make_scenario(seed);
    const WorldReport report = run_world(scenario);
    tally.add(scenario, report);
    if (!report.violations.empty()) {
      ++failed;
      ADD_FAILURE() << "seed " << seed << "\n" << told_small(scenario, report);
    }
    if (seed % 20 != 0) continue;
    const WorldReport again = run_world(scenario);
    EXPECT_EQ(report.fingerprint, again.fingerprint) << "seed " << seed << " is not deterministic";
    EXPECT_EQ(report.happened, again.happened);
  }
  fmt::print("{} seeds ({} with SQLite): {} ended, {} left in doubt, {} crashes, {} deeds\n",
             tally.seeds, tally.sqlite, tally.ended, tally.in_doubt, tally.crashes, tally.deeds);
  fmt::print(
      "{} forks took over {} results, {} were refused; {} snapshots with nested plans; {} "
      "other forms\n",
      tally.forks, tally.reused, tally.refused, tally.nested, tally.replans);
  EXPECT_GT(tally.crashes, tally.seeds / 4) << "the worlds are too kind";
  EXPECT_GT(tally.deeds, tally.seeds) << "the plans do nothing";
  EXPECT_GT(tally.forks, tally.seeds / 20) << "nobody forks";
  EXPECT_GT(tally.reused, tally.forks) << "forks take over nothing";
  EXPECT_LT(tally.refused, tally.forks) << "most forks are refused";
  EXPECT_GT(tally.nested, tally.seeds / 2000) << "no snapshot has a plan produced below a sub-plan";
  EXPECT_GT(tally.replans, tally.seeds / 100) << "no run gets another form of its rows";
  for (RunStatus status : {RunStatus::kSucceeded, RunStatus::kFailed, RunStatus::kCancelled}) {
    EXPECT_GT(tally.ends[status], 0u) << run_status_name(status) << " never happens";
  }
}

// For a person: SLUICE_SEED=605 test_sim --gtest_filter='*OneSeed*'
TEST(Simulation, OneSeed) {
  const Scenario scenario = make_scenario(number_from("SLUICE_SEED", 1));
  std::string story;
  const WorldReport report = run_world(scenario, &story);
  if (std::getenv("SLUICE_SEED") != nullptr) {
    if (std::getenv("SLUICE_TEST_TRACE") != nullptr) fmt::print("{}", story);
    fmt::print("{}", failure_text(scenario, report, commit_of_sources()));
  }
  EXPECT_TRUE(report.violations.empty()) << told_small(scenario, report);
}

}  // namespace
}  // namespace sluice::testing
