#include <gtest/gtest.h>

#include <algorithm>

#include "schedule/engine_policy.h"
#include "schedule/lifetime/return_times.h"

namespace sluice {
namespace {

KeptRunView run(std::uint64_t id, std::uint32_t cells, std::uint32_t start = 0) {
  return {.id = id, .start = start, .cells = cells, .used = 1};
}

// A request that needs `need` cells beside these runs, which fill the pool.
ScheduleSnapshot full(std::vector<KeptRunView> kept, std::uint32_t need) {
  ScheduleSnapshot out;
  out.now_ns = 1000 * kNsPerSecond;
  RequestView view{.id = 1, .phase = RequestPhase::kPrefill, .prompt_tokens = need};
  view.arrived_ns = out.now_ns;
  view.max_tokens = 1;
  out.requests = {view};
  out.pool.sequences_free = 10;
  for (KeptRunView& one : kept) {
    if (one.used_ns == 0) one.used_ns = out.now_ns - 10 * kNsPerSecond;
    if (one.in_host) {
      out.pool.host_used_bytes += std::uint64_t{one.cells} * 23'040;
    } else {
      out.pool.cached_cells += one.cells;
    }
  }
  out.pool.total_cells = out.pool.cached_cells;
  out.kept = std::move(kept);
  return out;
}

std::vector<std::uint64_t> moved(const ScheduleDecision& decision, KvAction action) {
  std::vector<std::uint64_t> out;
  for (const KvMove& move : decision.moves) {
    if (move.action == action) out.push_back(move.run);
  }
  return out;
}

using Ids = std::vector<std::uint64_t>;

TEST(LifetimeTest, OnlyAsMuchLeavesAsIsNeeded) {
  auto snapshot = full({run(1, 100), run(2, 100), run(3, 100)}, 90);
  EXPECT_EQ(decide(snapshot).moves.size(), 1U);
  snapshot.pool.total_cells += 95;
  EXPECT_TRUE(decide(snapshot).moves.empty());
}

TEST(LifetimeTest, ChildrenLeaveBeforeParents) {
  KeptRunView child = run(2, 100, 100);
  child.parent = 1;
  auto decision = decide(full({run(1, 100), child}, 150));
  EXPECT_EQ(moved(decision, KvAction::kDrop), (Ids{2, 1}));
}

TEST(LifetimeTest, MovesToHostMemoryWhereItHasRoom) {
  auto snapshot = full({run(1, 300)}, 100);
  EXPECT_EQ(moved(decide(snapshot), KvAction::kDrop), (Ids{1}));
  snapshot.pool.host_budget_bytes = 300 * 23'040;
  EXPECT_EQ(moved(decide(snapshot), KvAction::kMoveToHost), (Ids{1}));
  snapshot.pool.host_used_bytes = 1;  // by somebody that this view does not show
  EXPECT_EQ(moved(decide(snapshot), KvAction::kDrop), (Ids{1}));
}

TEST(LifetimeTest, WhatIsWorthLessInHostMemoryMakesRoom) {
  KeptRunView worthless = run(1, 300);
  worthless.in_host = true;
  worthless.used_ns = 1;
  KeptRunView comes_back = run(2, 300);
  comes_back.program = "p";
  comes_back.returns = true;
  auto snapshot = full({worthless, comes_back}, 100);
  snapshot.pool.host_budget_bytes = 300 * 23'040;
  auto decision = decide(snapshot);
  EXPECT_EQ(moved(decision, KvAction::kDrop), (Ids{1}));
  EXPECT_EQ(moved(decision, KvAction::kMoveToHost), (Ids{2}));
  std::swap(snapshot.kept[0].returns, snapshot.kept[1].returns);
  std::swap(snapshot.kept[0].used_ns, snapshot.kept[1].used_ns);
  decision = decide(snapshot);
  EXPECT_EQ(moved(decision, KvAction::kDrop), (Ids{2}));
}

TEST(LifetimeTest, WhoComesBackStaysBeforeWhoMay) {
  KeptRunView plain = run(1, 200);
  KeptRunView soon = run(2, 200);
  soon.returns_at_ns = 1001 * kNsPerSecond;
  KeptRunView late = run(3, 200);
  late.returns_at_ns = 1500 * kNsPerSecond;
  auto snapshot = full({soon, plain, late}, 150);
  EXPECT_EQ(moved(decide(snapshot), KvAction::kDrop), (Ids{1}));
  snapshot = full({soon, late}, 150);
  EXPECT_EQ(moved(decide(snapshot), KvAction::kDrop), (Ids{3}));
}

TEST(LifetimeTest, ToolsThatAreSlowOrLoseTheirCallersAreLearned) {
  ReturnTimes times;
  for (int i = 0; i < 20; ++i) {
    times.record("fast", 1);
    times.record_lost("ask a person", 3000);
  }
  KeptRunView fast = run(1, 200);
  fast.returns = true;
  fast.next_tool = "fast";
  KeptRunView person = run(2, 200);
  person.returns = true;
  person.next_tool = "ask a person";
  for (KeptRunView* one : {&fast, &person}) one->idle_since_ns = 1000 * kNsPerSecond - kNsPerMs;
  auto snapshot = full({fast, person}, 150);
  snapshot.return_times = &times;
  EXPECT_EQ(moved(decide(snapshot), KvAction::kDrop), (Ids{2}));
}

TEST(LifetimeTest, OfTwoProgramsTheLaterOneLeavesWhole) {
  auto of = [](std::uint64_t id, std::string program, SteadyNs since, std::uint32_t start) {
    KeptRunView view = run(id, 200, start);
    view.program = std::move(program);
    view.program_since_ns = since;
    view.returns = true;
    if (start > 0) view.parent = id - 1;
    return view;
  };
  auto snapshot = full(
      {of(1, "early", 1, 0), of(2, "early", 1, 200), of(3, "late", 2, 0), of(4, "late", 2, 200)},
      390);
  EXPECT_EQ(moved(decide(snapshot), KvAction::kDrop), (Ids{4, 3}));
}

TEST(LifetimeTest, RecentDropsTheLeastRecentlyUsed) {
  KeptRunView old = run(1, 100);
  old.used_ns = 900 * kNsPerSecond;
  KeptRunView fresh = run(2, 100);
  fresh.used_ns = 999 * kNsPerSecond;
  old.returns = true;  // it does not see that
  auto snapshot = full({old, fresh}, 50);
  snapshot.pool.host_budget_bytes = 1ULL << 30;
  snapshot.settings.names.lifetime = "recent";
  EXPECT_EQ(moved(decide(snapshot), KvAction::kDrop), (Ids{1}));
}

TEST(LifetimeTest, DropKeepsNothingAndOnlyForWhomItIs) {
  auto snapshot = full({run(1, 100), run(2, 100)}, 1);
  snapshot.pool.total_cells += 1000;
  snapshot.kept[1].policies = PolicyNames{.lifetime = "drop"};
  EXPECT_EQ(moved(decide(snapshot), KvAction::kDrop), (Ids{2}));
  snapshot.settings.names.lifetime = "drop";
  EXPECT_EQ(decide(snapshot).moves.size(), 2U);
}

TEST(LifetimeTest, WhatAnAdmittedRequestBeginsWithStays) {
  KeptRunView child = run(2, 100, 100);
  child.parent = 1;
  auto snapshot = full({run(1, 100), child, run(3, 100)}, 90);
  RequestView& view = snapshot.requests[0];
  view.phase = RequestPhase::kWaiting;
  view.prompt_tokens = 290;
  view.shared_tokens = view.shared_idle_tokens = 200;
  view.kept_run = 2;
  auto decision = decide(snapshot);
  EXPECT_EQ(decision.admit, (Ids{1}));
  EXPECT_EQ(moved(decision, KvAction::kDrop), (Ids{3}));
}

TEST(LifetimeTest, WhatComesBackFromHostMemoryNeedsRoom) {
  KeptRunView away = run(2, 100);
  away.in_host = true;
  auto snapshot = full({run(1, 150), away}, 0);
  snapshot.requests[0] = {
      .id = 1, .prompt_tokens = 101, .host_tokens = 100, .kept_run = 2, .max_tokens = 5};
  auto decision = decide(snapshot);
  EXPECT_EQ(decision.admit, (Ids{1}));
  EXPECT_EQ(moved(decision, KvAction::kDrop), (Ids{1}));
}

TEST(LifetimeTest, WhatCannotComeBackIsComputedAgain) {
  KeptRunView away = run(2, 600, 500);
  away.in_host = true;
  away.parent = 1;
  auto snapshot = full({run(1, 500), away}, 0);
  snapshot.pool.total_cells = 1000;
  snapshot.requests[0] = {.id = 1,
                          .prompt_tokens = 850,
                          .shared_tokens = 500,
                          .shared_idle_tokens = 500,
                          .host_tokens = 300,
                          .kept_run = 2,
                          .max_tokens = 5};
  auto decision = decide(snapshot);
  EXPECT_EQ(decision.admit, Ids{});
  EXPECT_EQ(moved(decision, KvAction::kDrop), (Ids{2}));
  EXPECT_EQ(decision.decide_again_ns, snapshot.now_ns);
  snapshot.kept.pop_back();
  snapshot.requests[0].host_tokens = 0;
  snapshot.requests[0].kept_run = 1;
  EXPECT_EQ(decide(snapshot).admit, (Ids{1}));
}

TEST(LifetimeTest, IdleCellsPayTheirTax) {
  InstanceCost::Parts parts = InstanceCost::defaults().parts();
  parts.idle_cell_s = 3e-6;  // as with a kernel that walks all cells
  InstanceCost cost = *InstanceCost::make(parts);
  KeptRunView late = run(1, 2000);
  late.returns_at_ns = 1060 * kNsPerSecond;
  auto snapshot = full({late}, 10);
  snapshot.pool.total_cells += 1000;
  snapshot.pool.host_budget_bytes = 1ULL << 30;
  EXPECT_TRUE(decide(snapshot).moves.empty());
  snapshot.cost = &cost;
  EXPECT_EQ(moved(decide(snapshot), KvAction::kMoveToHost), (Ids{1}));
  snapshot.kept[0].returns_at_ns = 1000 * kNsPerSecond + 20 * kNsPerMs;
  EXPECT_TRUE(decide(snapshot).moves.empty()) << "it is back in a moment";
}

TEST(LifetimeTest, AnEngineWithNothingToDoBringsBackWhatIsExpected) {
  KeptRunView parent = run(1, 100);
  parent.in_host = true;
  KeptRunView child = run(2, 100, 100);
  child.in_host = true;
  child.parent = 1;
  child.returns_at_ns = 1002 * kNsPerSecond;
  KeptRunView later = run(3, 100);
  later.in_host = true;
  later.returns_at_ns = 1090 * kNsPerSecond;
  auto snapshot = full({parent, child, later}, 1);
  snapshot.requests.clear();
  snapshot.pool.total_cells = 1000;
  auto decision = decide(snapshot);
  EXPECT_EQ(moved(decision, KvAction::kMoveToPool), (Ids{1, 2}));
  ASSERT_TRUE(decision.decide_again_ns.has_value());
  EXPECT_EQ(*decision.decide_again_ns, 1085 * kNsPerSecond);
  snapshot.pool.total_cells = 150;
  EXPECT_TRUE(decide(snapshot).moves.empty()) << "there is no room";
}

TEST(LifetimeTest, OfASetThatDoesNotFitAPartStays) {
  // Twenty equal prefixes that are used in turns, in a pool for ten: with the least recently used
  // one leaving, each would be gone when its turn comes.
  std::vector<KeptRunView> kept;
  for (std::uint64_t id = 1; id <= 11; ++id) {
    kept.push_back(run(id, 100));
    kept.back().used_ns = (999 - static_cast<SteadyNs>(id) % 2) * kNsPerSecond;
  }
  auto first = moved(decide(full(kept, 90)), KvAction::kDrop);
  std::ranges::rotate(kept, kept.begin() + 5);
  EXPECT_EQ(moved(decide(full(kept, 90)), KvAction::kDrop), first);
}

}  // namespace
}  // namespace sluice
