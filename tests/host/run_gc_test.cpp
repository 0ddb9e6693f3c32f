#include "host/runs/run_gc.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

constexpr std::int64_t kDay = 86'400 * kNsPerSecond;
constexpr WallNs kNow = 1000 * kDay;

JournaledRun run(std::string id, int days_ago, std::uint64_t bytes,
                 JournaledRunState state = JournaledRunState::kEnded, std::string owner = "") {
  JournaledRun made;
  made.run_id = std::move(id);
  made.state = state;
  made.card.updated_ns = kNow - days_ago * kDay;
  made.bytes = bytes;
  made.owner = std::move(owner);
  return made;
}

std::vector<JournaledRun> some() {
  return {run("new", 1, 100), run("old", 40, 100), run("older", 80, 100),
          run("open", 90, 100, JournaledRunState::kOpen),
          run("live", 90, 100, JournaledRunState::kOpen, "pid 1 on here")};
}

std::vector<std::string> ids(const GcRules& rules) {
  std::vector<std::string> found;
  for (const JournaledRun& gone : runs_to_delete(some(), rules, kNow)) found.push_back(gone.run_id);
  return found;
}

using Ids = std::vector<std::string>;

TEST(RunGc, GoesByAge) {
  EXPECT_EQ(ids({.older_than_ns = 30 * kDay}), (Ids{"older", "old"}));
  EXPECT_EQ(ids({.older_than_ns = 100 * kDay}), Ids{});
}

TEST(RunGc, GoesBySizeTheOldestFirst) {
  EXPECT_EQ(ids({.keep_bytes = 450}), Ids{"older"});
  EXPECT_EQ(ids({.keep_bytes = 300}), (Ids{"older", "old"}));
  EXPECT_EQ(ids({.keep_bytes = 0}), (Ids{"older", "old", "new"}));
  EXPECT_EQ(ids({.keep_bytes = 500}), Ids{});
}

TEST(RunGc, TakesWhatNeverEndedOnlyWhenAskedTo) {
  EXPECT_EQ(ids({.older_than_ns = 30 * kDay, .abandoned = true}), (Ids{"open", "older", "old"}));
}

TEST(RunGc, NeverTakesWhatAProcessIsAt) {
  for (const std::string& id : ids({.older_than_ns = 0, .keep_bytes = 0, .abandoned = true})) {
    EXPECT_NE(id, "live");
  }
}

TEST(RunGc, KeepsWhatAForkThatHasNotEndedCameFrom) {
  auto runs = some();
  runs[3].card.forked_from = "older";  // the open one
  runs[2].card.forked_from = "old";
  auto gone = runs_to_delete(runs, {.older_than_ns = 0}, kNow);
  ASSERT_EQ(gone.size(), 1u);
  EXPECT_EQ(gone[0].run_id, "new");
  runs[3].state = JournaledRunState::kEnded;
  EXPECT_EQ(runs_to_delete(runs, {.older_than_ns = 0}, kNow).size(), 4u);
}

}  // namespace
}  // namespace sluice
