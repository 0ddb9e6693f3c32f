// The state machine under random plans and random orders of events: 10,000 seeds.

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <string>

#include "tests/runtime/random_world.h"

namespace sluice::testing {
namespace {

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

void run_seeds(std::uint64_t first, std::uint64_t count, const WorldOptions& options,
               std::map<RunStatus, std::uint64_t>& ends) {
  std::uint64_t calls = 0;
  std::uint64_t bad = 0;
  for (std::uint64_t seed = first; seed < first + count && bad < 5; ++seed) {
    WorldReport report = run_random_world(seed, options);
    calls += report.calls;
    ++ends[report.status];
    if (!report.violations.empty()) ++bad;
    EXPECT_TRUE(report.violations.empty()) << "seed " << seed << first_lines(report);
    if (seed % 20 != 0) continue;
    WorldReport again = run_random_world(seed, options);
    EXPECT_EQ(report.fingerprint, again.fingerprint) << "seed " << seed << " is not deterministic";
  }
  EXPECT_GT(calls, count) << "the generator makes plans that call nothing";
}

// One seed, for a person: SLUICE_SEED=605 SLUICE_TEST_TRACE=1 test_runtime
// --gtest_filter='*OneSeed'
TEST(MachineRandom, OneSeed) {
  const char* text = std::getenv("SLUICE_SEED");
  std::uint64_t seed = text ? std::strtoull(text, nullptr, 10) : 1;
  WorldOptions options;
  if (seed > 1'000'000) options = {.interrupts = true};
  if (seed > 2'000'000) options = {.failure = 0.1, .doubt = 0.5};
  WorldReport report = run_random_world(seed, options);
  EXPECT_TRUE(report.violations.empty()) << first_lines(report);
}

TEST(MachineRandom, InvariantsHoldUnderFailuresAndDuplicates) {
  std::map<RunStatus, std::uint64_t> ends;
  run_seeds(1, seeds() / 2, WorldOptions{}, ends);
  EXPECT_GT(ends[RunStatus::kSucceeded], 0u);
  EXPECT_GT(ends[RunStatus::kFailed], 0u);
}

TEST(MachineRandom, InvariantsHoldUnderInterrupts) {
  std::map<RunStatus, std::uint64_t> ends;
  run_seeds(1'000'001, seeds() / 4, WorldOptions{.interrupts = true}, ends);
  EXPECT_GT(ends[RunStatus::kInterrupted], 0u);
}

TEST(MachineRandom, DoubtStopsItsBranchOnly) {
  std::map<RunStatus, std::uint64_t> ends;
  run_seeds(2'000'001, seeds() / 4, WorldOptions{.failure = 0.1, .doubt = 0.5}, ends);
  EXPECT_GT(ends[RunStatus::kInDoubt], 0u);
}

}  // namespace
}  // namespace sluice::testing
