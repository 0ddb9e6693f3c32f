// Small runs whose schedules were worked out by hand: with places, with sub-plans that hold them,
// and with something changed.
#include "cost/what_if.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

// Times in whole seconds, as the run really was.
struct Made {
  RealizedRun run;

  std::uint32_t step(const std::string& name) {
    run.steps.push_back(name);
    return static_cast<std::uint32_t>(run.steps.size() - 1);
  }
  std::uint32_t pool(const std::string& name, std::uint32_t places) {
    run.pools.push_back({name, places});
    return static_cast<std::uint32_t>(run.pools.size() - 1);
  }
  std::uint32_t task(std::uint32_t step, std::int64_t start, std::int64_t end,
                     std::vector<std::uint32_t> after = {}, std::vector<std::uint32_t> pools = {}) {
    run.tasks.push_back({step, start, end, std::move(after), std::move(pools)});
    return static_cast<std::uint32_t>(run.tasks.size() - 1);
  }
  std::int64_t length(const Change& change = {}) const {
    auto schedule = simulate_run(run, change);
    return schedule ? schedule->length_ns : -1;
  }
};

// Four calls of 3 s, two at once, then a step of 4 s that needs them all: 6 + 4.
Made two_at_once() {
  Made made;
  const auto get = made.step("get");
  const auto sum = made.step("sum");
  const auto db = made.pool("tool:db.query", 2);
  made.task(get, 0, 3, {}, {db});
  made.task(get, 0, 3, {}, {db});
  made.task(get, 3, 6, {}, {db});
  made.task(get, 3, 6, {}, {db});
  const auto all = made.task(kNoTask, 6, 6, {0, 1, 2, 3});
  made.task(sum, 6, 10, {all});
  return made;
}

TEST(WhatIf, WithoutAChangeGivesTheRunAsItWas) {
  const Made made = two_at_once();
  auto schedule = simulate_run(made.run);
  ASSERT_TRUE(schedule.has_value());
  EXPECT_EQ(schedule->length_ns, 10);
  for (std::size_t task = 0; task < made.run.tasks.size(); ++task) {
    EXPECT_EQ(schedule->start_ns[task], made.run.tasks[task].start_ns) << task;
    EXPECT_EQ(schedule->end_ns[task], made.run.tasks[task].end_ns) << task;
  }
}

TEST(WhatIf, MorePlacesLetMoreRunAtOnce) {
  const Made made = two_at_once();
  auto more = [](std::uint32_t places) {
    return Change{Change::Kind::kMorePlaces, "tool:db.query", places, 1};
  };
  EXPECT_EQ(made.length(more(1)), 10) << "three and one still take two rounds";
  EXPECT_EQ(made.length(more(2)), 7);
  EXPECT_EQ(made.length(more(100)), 7);
  EXPECT_EQ(made.length({Change::Kind::kMorePlaces, "tool:other", 2, 1}), 10);
}

TEST(WhatIf, AFasterStepOrPoolShortensItsTasksOnly) {
  const Made made = two_at_once();
  EXPECT_EQ(made.length({Change::Kind::kStepFaster, "sum", 0, 2}), 8);
  EXPECT_EQ(made.length({Change::Kind::kStepFaster, "get", 0, 1.5}), 8);
  EXPECT_EQ(made.length({Change::Kind::kPoolFaster, "tool:db.query", 0, 3}), 6);
}

// Two pipelines of a question (4 s, a model without a limit) and a note (1 s, one place).
TEST(WhatIf, APoolWithoutALimitHoldsNobodyUp) {
  Made made;
  const auto ask = made.step("ask");
  const auto note = made.step("note");
  const auto model = made.pool("model:default", 0);
  const auto pen = made.pool("tool:note.run", 1);
  const auto first = made.task(ask, 0, 4, {}, {model});
  const auto second = made.task(ask, 0, 4, {}, {model});
  made.task(note, 4, 5, {first}, {pen});
  made.task(note, 5, 6, {second}, {pen});
  EXPECT_EQ(made.length(), 6);
  EXPECT_EQ(made.length({Change::Kind::kPoolFaster, "model:default", 0, 2}), 4);
  EXPECT_EQ(made.length({Change::Kind::kMorePlaces, "tool:note.run", 1, 1}), 5);
}

// The list is in the order in which tasks really began: c was preferred to b.
TEST(WhatIf, KeepsTheOrderThatTheRunHad) {
  Made made;
  const auto step = made.step("s");
  const auto pool = made.pool("code", 1);
  made.task(step, 0, 2, {}, {pool});
  const auto b = made.task(step, 3, 4, {}, {pool});
  const auto c = made.task(step, 2, 3, {}, {pool});
  auto schedule = simulate_run(made.run);
  ASSERT_TRUE(schedule.has_value());
  EXPECT_EQ(schedule->start_ns[c], 2);
  EXPECT_EQ(schedule->start_ns[b], 3);
}

// A sub-plan of two items with `concurrency: 1`: the place is held from its begin to its end.
TEST(WhatIf, ASubPlanHoldsItsPlaceToItsEnd) {
  Made made;
  const auto work = made.step("rows/work");
  const auto pool = made.pool("step rows", 1);
  for (std::int64_t item = 0; item < 2; ++item) {
    const auto begin = made.task(kNoTask, item * 5, item * 5, {}, {pool});
    const auto first = made.task(work, item * 5, item * 5 + 2, {begin});
    const auto last = made.task(work, item * 5 + 2, item * 5 + 5, {first});
    made.run.tasks[begin].held_until = made.task(kNoTask, item * 5 + 5, item * 5 + 5, {last});
  }
  EXPECT_EQ(made.length(), 10);
  EXPECT_EQ(made.length({Change::Kind::kMorePlaces, "step rows", 1, 1}), 5);
}

// One task lacks the tool, the other has all that it needs: a parked task blocks nobody else.
TEST(WhatIf, WhoLacksAPlaceBlocksNobodyElse) {
  Made made;
  const auto a = made.step("a");
  const auto b = made.step("b");
  const auto tool = made.pool("tool:a", 1);
  const auto run = made.pool("run", 2);
  made.task(a, 0, 4, {}, {tool, run});
  made.task(a, 4, 8, {}, {tool, run});
  made.task(b, 0, 4, {}, {run});
  made.task(b, 4, 8, {}, {run});
  auto schedule = simulate_run(made.run);
  ASSERT_TRUE(schedule.has_value());
  EXPECT_EQ(schedule->start_ns[2], 0);
  EXPECT_EQ(schedule->length_ns, 8);
}

// Each task stands for four, and two places served eight: a place's work is twice as long.
TEST(WhatIf, ASampleWorksForThoseItStandsFor) {
  Made made;
  const auto step = made.step("s");
  const auto pool = made.pool("tool:t", 1);
  made.run.pools[pool].stretch = 2;
  made.task(step, 0, 3, {}, {pool});
  made.task(step, 3, 6, {}, {pool});
  EXPECT_EQ(made.length(), 12);
}

TEST(WhatIf, TasksThatWaitForEachOtherHaveNoSchedule) {
  Made made;
  const auto step = made.step("s");
  made.task(step, 0, 1, {1});
  made.task(step, 0, 1, {0});
  EXPECT_FALSE(simulate_run(made.run).has_value());
  EXPECT_FALSE(try_changes(made.run, {}).has_value());
}

TEST(WhatIf, AnEmptyRunTakesNoTime) {
  const RealizedRun nothing;
  EXPECT_EQ(simulate_run(nothing)->length_ns, 0);
  EXPECT_TRUE(realized_path(nothing).empty());
  EXPECT_TRUE(possible_changes(nothing).empty());
  EXPECT_TRUE(try_changes(nothing, {})->effects.empty());
}

TEST(RealizedPath, FollowsWhatWasWaitedForLongest) {
  Made made;
  const auto s = made.step("s");
  const auto quick = made.task(s, 0, 2);
  const auto slow = made.task(s, 0, 5);
  const auto join = made.task(kNoTask, 5, 5, {quick, slow});
  const auto last = made.task(s, 6, 9, {join});
  made.task(s, 2, 8, {quick});
  EXPECT_EQ(realized_path(made.run), (std::vector<std::uint32_t>{slow, join, last}));
  EXPECT_EQ(ready_times(made.run), (std::vector<std::int64_t>{0, 0, 5, 5, 2}));
}

TEST(WhatIf, TriesWhatTasksWaitedForAndWhatWorkedLongest) {
  const Made made = two_at_once();
  const std::vector<Change> changes = possible_changes(made.run);
  ASSERT_EQ(changes.size(), 3u);
  EXPECT_EQ(changes[0], (Change{Change::Kind::kMorePlaces, "tool:db.query", 1, 1}));
  EXPECT_EQ(changes[1], (Change{Change::Kind::kStepFaster, "get", 0, 2}));
  EXPECT_EQ(changes[2], (Change{Change::Kind::kStepFaster, "sum", 0, 2}));
  auto found = try_changes(made.run, changes);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->unchanged_ns, 10);
  // One more place saves nothing; 1.5 s of 3 are rounded to 2.
  ASSERT_EQ(found->effects.size(), 2u);
  EXPECT_EQ(found->effects[0].change.name, "get");
  EXPECT_EQ(found->effects[0].saved_ns, 2);
  EXPECT_EQ(found->effects[1].change.name, "sum");
  EXPECT_EQ(found->effects[1].saved_ns, 2);
}

TEST(WhatIf, TellsTheMostUsefulOnly) {
  Made made;
  std::vector<Change> changes;
  std::int64_t at = 0;
  for (int i = 1; i <= 6; ++i) {
    const std::string name = "s" + std::to_string(i);
    std::vector<std::uint32_t> after;
    if (i > 1) after.push_back(static_cast<std::uint32_t>(i - 2));
    made.task(made.step(name), at, at + i * 100, after);
    at += i * 100;
    changes.push_back({Change::Kind::kStepFaster, name, 0, 2});
  }
  auto found = try_changes(made.run, changes);
  ASSERT_TRUE(found.has_value());
  ASSERT_EQ(found->effects.size(), 3u);
  EXPECT_EQ(found->effects[0].change.name, "s6");
  EXPECT_EQ(found->effects[0].saved_ns, 300);
  EXPECT_EQ(found->effects[2].change.name, "s4");
}

}  // namespace
}  // namespace sluice
