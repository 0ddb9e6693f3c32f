#include "schedule/engine_policy.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "schedule/policies.h"
#include "tests/schedule/snapshots.h"

namespace sluice {
namespace {

TEST(EnginePolicyTest, NothingToDo) {
  ScheduleDecision decision = decide(world({}));
  EXPECT_TRUE(decision.admit.empty() && decision.decode.empty() && decision.prefill.empty());
  EXPECT_FALSE(decision.decide_again_ns.has_value());
}

// batch/

TEST(BatchTest, DecodesFirstThenChunksWithinTheTimeBetweenTokens) {
  auto snapshot = world({decoding(1, 10, 1, 20), decoding(2, 10, 1, 20), computing(3, 5000, 0)});
  for (std::int64_t between_ms : {120, 250, 400}) {
    snapshot.settings.between_tokens_ms = between_ms;
    ScheduleDecision decision = decide(snapshot);
    EXPECT_EQ(decision.decode, (Ids{1, 2}));
    std::uint32_t tokens = chunk_of(decision, 3);
    BatchShape shape{.decode_tokens = 2,
                     .decode_cells = 22,
                     .prefill_tokens = tokens,
                     .prefill_cells = chunk_cells(0, tokens)};
    double seconds = InstanceCost::defaults().batch_s(shape);
    EXPECT_LE(seconds, static_cast<double>(between_ms) / 1e3);
    EXPECT_GT(seconds, 0.9 * static_cast<double>(between_ms) / 1e3);
    EXPECT_FALSE(decision.abortable);
  }
  snapshot.settings.names.batch = "fixed";
  EXPECT_EQ(chunk_of(decide(snapshot), 3), 510U);
}

TEST(BatchTest, ChunksGetSmallerWithDepthButNotUseless) {
  auto snapshot = world({decoding(1, 10, 1, 20), computing(2, 8000, 0)});
  std::uint32_t shallow = chunk_of(decide(snapshot), 2);
  snapshot = world({decoding(1, 10, 1, 20), computing(2, 8000, 6000)});
  std::uint32_t deep = chunk_of(decide(snapshot), 2);
  EXPECT_LT(deep, shallow);
  snapshot.settings.between_tokens_ms = 1;
  EXPECT_GE(chunk_of(decide(snapshot), 2), 16U);
}

TEST(BatchTest, ShortPromptsPassLongOnes) {
  auto snapshot = world({computing(1, 5000, 1000), computing(2, 40, 0), computing(3, 4000, 0),
                         decoding(4, 10, 1, 20)});
  ScheduleDecision decision = decide(snapshot);
  EXPECT_EQ(chunk_of(decision, 2), 40U);
  EXPECT_GT(chunk_of(decision, 1) + chunk_of(decision, 3), 40U) << "who passes takes half at most";
}

TEST(BatchTest, APromptAloneIsCutWhereTheCurveIsFlatAndElseAbortable) {
  auto snapshot = world({computing(1, 5000, 0)});
  ScheduleDecision decision = decide(snapshot);
  EXPECT_GT(chunk_of(decision, 1), 100U);
  EXPECT_LT(chunk_of(decision, 1), 512U);
  EXPECT_FALSE(decision.abortable);
  InstanceCost::Parts parts = InstanceCost::defaults().parts();
  parts.curve = {{1, 0.5}, {512, 2}};  // small chunks are dear
  InstanceCost steep = *InstanceCost::make(parts);
  snapshot.cost = &steep;
  decision = decide(snapshot);
  EXPECT_GT(chunk_of(decision, 1), 480U);
  EXPECT_TRUE(decision.abortable);
}

TEST(BatchTest, PromptsStandBackBehindProgramsThatDecode) {
  auto of = [](RequestView view, std::string program, SteadyNs since) {
    view.program = std::move(program);
    view.program_since_ns = since;
    view.arrived_ns = kNsPerSecond / 2;
    return view;
  };
  auto first = of(decoding(1, 300, 10, 40), "a", -9 * kNsPerSecond);
  auto second = of(decoding(2, 300, 10, 40), "b", -8 * kNsPerSecond);
  auto later = of(computing(3, 2000, 0), "c", 0);
  EXPECT_EQ(chunk_of(decide(world({first, second, later})), 3), 0U);
  later.program_since_ns = -20 * kNsPerSecond;  // now it goes before them
  EXPECT_GT(chunk_of(decide(world({first, second, later})), 3), 0U);
}

TEST(BatchTest, ForcedTokensAreTakenTogether) {
  auto view = decoding(1, 10, 1, 50);
  view.next_tokens = 9;
  auto snapshot = world({view});
  snapshot.pool.total_cells = snapshot.pool.used_cells + 8;
  EXPECT_TRUE(decide(snapshot).decode.empty());
  snapshot.pool.total_cells += 1;
  EXPECT_EQ(decide(snapshot).decode, (Ids{1}));
}

// admission/

TEST(AdmissionTest, WorstCaseReservesAll) {
  auto snapshot = world({decoding(1, 100, 51, 401), waiting(2, 100, 400), waiting(3, 10, 40)});
  snapshot.settings.names.admission = "worst_case";
  snapshot.pool.total_cells = 1050;  // 150 used, 350 promised, 50 for 3: 500 are free
  EXPECT_EQ(decide(snapshot).admit, (Ids{3, 2}));
  snapshot.pool.total_cells = 1049;
  EXPECT_EQ(decide(snapshot).admit, (Ids{3}));
}

TEST(AdmissionTest, ExpectedLengthsLetMoreIn) {
  auto snapshot = world({decoding(1, 100, 50, 500), waiting(2, 100, 800)});
  snapshot.pool.total_cells = 800;
  EXPECT_EQ(decide(snapshot).admit, Ids{}) << "nothing is known: at worst";
  snapshot.output_history.assign(200, 80);
  EXPECT_EQ(decide(snapshot).admit, (Ids{2}));
  snapshot.output_history.clear();
  snapshot.requests[0].expected_tokens = snapshot.requests[1].expected_tokens = 80;
  EXPECT_EQ(decide(snapshot).admit, (Ids{2}));
  snapshot.requests[1].preempted = 2;
  EXPECT_EQ(decide(snapshot).admit, Ids{}) << "who was preempted twice counts at worst";
  snapshot.requests[1].preempted = 0;
  snapshot.settings.fill = 0.3;
  EXPECT_EQ(decide(snapshot).admit, Ids{});
}

TEST(AdmissionTest, ARequestMayAskForAnotherPolicy) {
  auto snapshot = world({decoding(1, 100, 50, 500), waiting(2, 100, 800)});
  snapshot.pool.total_cells = 800;
  snapshot.output_history.assign(200, 80);
  EXPECT_EQ(decide(snapshot).admit, (Ids{2}));
  snapshot.requests[1].policies.admission = "worst_case";
  EXPECT_EQ(decide(snapshot).admit, Ids{});
  snapshot.settings.names.admission = "worst_case";
  snapshot.requests[1].policies.admission = "expected";
  EXPECT_EQ(decide(snapshot).admit, (Ids{2}));
  snapshot.requests[1].policies.admission = "no such policy";
  EXPECT_EQ(decide(snapshot).admit, Ids{}) << "the engine's";
}

TEST(AdmissionTest, SharedCellsCountOnce) {
  auto request = waiting(2, 300, 500);
  request.shared_tokens = 250;
  auto snapshot = world({decoding(1, 300, 1, 151), request});
  snapshot.settings.names.admission = "worst_case";
  snapshot.pool.total_cells = 1000;
  EXPECT_EQ(decide(snapshot).admit, (Ids{2}));
  snapshot.requests[1].shared_idle_tokens = 250;  // idle cells become used: they take room
  snapshot.pool.cached_cells = 250;
  EXPECT_EQ(decide(snapshot).admit, Ids{});
}

TEST(AdmissionTest, OnlySmallOnesPassOneThatDoesNotFit) {
  auto large = waiting(2, 3000, 2000);
  large.priority = 1;
  auto small = waiting(3, 10, 5);
  auto middle = waiting(4, 2000, 900);
  auto snapshot = world({decoding(1, 5000, 1, 3000), large, small, middle});
  snapshot.settings.names.admission = "worst_case";
  snapshot.requests[0].priority = 2;
  EXPECT_EQ(decide(snapshot).admit, (Ids{3}));
  snapshot.now_ns = 1000 * kNsPerSecond;  // the large one has waited for too long
  EXPECT_EQ(decide(snapshot).admit, Ids{});
}

TEST(AdmissionTest, WaitsForAPrefixThatIsBeingComputed) {
  auto leader = computing(1, 200, 100);
  auto follower = waiting(2, 200);
  follower.shared_tokens = 100;
  follower.soon_shared_tokens = 190;
  auto snapshot = world({leader, follower, waiting(3, 10)});
  EXPECT_EQ(decide(snapshot).admit, (Ids{3}));
  snapshot.requests[1].soon_shared_tokens = 120;  // not worth it
  EXPECT_TRUE(has(decide(snapshot).admit, 2));
  snapshot.requests[1].soon_shared_tokens = 190;
  snapshot.requests[1].priority = 1;  // not behind somebody who may wait himself
  EXPECT_TRUE(has(decide(snapshot).admit, 2));
}

TEST(AdmissionTest, OneOfAGroupBegins) {
  auto first = waiting(1, 500);
  auto second = waiting(2, 500);
  first.prefix_group = second.prefix_group = 77;
  EXPECT_EQ(decide(world({first, second, waiting(3, 500)})).admit.size(), 2U);
}

TEST(AdmissionTest, PlacesAndSequencesAreLimits) {
  auto snapshot = world({waiting(1, 10), waiting(2, 10), waiting(3, 10)});
  snapshot.max_running = 2;
  EXPECT_EQ(decide(snapshot).admit, (Ids{1, 2}));
  snapshot.pool.sequences_free = 1;
  EXPECT_EQ(decide(snapshot).admit, (Ids{1}));
  snapshot.pool.sequences_free = 0;
  EXPECT_EQ(decide(snapshot).admit, Ids{});
  snapshot.pool.cached_cells = 50;  // a kept prefix gives its sequence
  snapshot.kept.push_back({.id = 5, .cells = 50});
  ScheduleDecision decision = decide(snapshot);
  EXPECT_EQ(decision.admit, (Ids{1}));
  ASSERT_EQ(decision.moves.size(), 1U);
  EXPECT_EQ(decision.moves[0].run, 5U);
}

TEST(AdmissionTest, AHigherPriorityTakesAPlace) {
  auto urgent = waiting(3, 10);
  urgent.priority = 1;
  auto snapshot = world({decoding(1, 10, 1, 50), decoding(2, 10, 1, 50), urgent});
  snapshot.max_running = 2;
  ScheduleDecision decision = decide(snapshot);
  EXPECT_EQ(decision.preempt, (Ids{2}));
  EXPECT_EQ(decision.admit, (Ids{3}));
  EXPECT_EQ(decision.decode, (Ids{1}));
}

TEST(AdmissionTest, PrefetchesDriveNobodyOut) {
  auto early = waiting(1, 100);
  early.prefetch = true;
  auto snapshot = world({early, waiting(2, 10)});
  EXPECT_EQ(decide(snapshot).admit, (Ids{2, 1}));
  snapshot.pool.cached_cells = 9'950;
  snapshot.kept.push_back({.id = 5, .cells = 9'950});
  EXPECT_EQ(decide(snapshot).admit, (Ids{2}));
}

TEST(AdmissionTest, WhatBeginsNewDoesNotDriveOutWhoComesBack) {
  auto snapshot = world({decoding(1, 100, 1, 50), waiting(2, 4000)});
  snapshot.pool.total_cells = 5000;
  snapshot.pool.cached_cells = 4800;
  snapshot.kept.push_back({.id = 5, .cells = 4800, .program = "p", .returns = true});
  EXPECT_EQ(decide(snapshot).admit, Ids{});
  snapshot.pool.host_budget_bytes = 1ULL << 30;  // moving it costs nearly nothing
  EXPECT_EQ(decide(snapshot).admit, (Ids{2}));
  snapshot.pool.host_budget_bytes = 0;
  snapshot.now_ns = 1000 * kNsPerSecond;  // it has waited for long
  EXPECT_EQ(decide(snapshot).admit, (Ids{2}));
}

TEST(AdmissionTest, AFullPoolPreemptsTheLastAndNeverTheFirst) {
  auto snapshot = world({decoding(1, 300, 200, 900), decoding(2, 300, 200, 900),
                         decoding(3, 300, 200, 900), decoding(4, 300, 200, 900), waiting(5, 10)});
  snapshot.pool.total_cells = snapshot.pool.used_cells + 1;
  ScheduleDecision decision = decide(snapshot);
  ASSERT_EQ(decision.preempt.size(), 1U);
  std::uint64_t victim = decision.preempt[0];
  EXPECT_GE(victim, 3U) << "of the later half";
  EXPECT_TRUE(decision.admit.empty());
  EXPECT_EQ(decision.decode, (Ids{1}));
  EXPECT_TRUE(decision.decide_again_ns.has_value());
  snapshot.requests[victim - 1].preempted = 5;  // not the same one for ever
  EXPECT_EQ(decide(snapshot).preempt, (Ids{7 - victim}));
  snapshot.requests[victim - 1].priority = -1;  // but a lower priority in any case
  EXPECT_EQ(decide(snapshot).preempt, (Ids{victim}));
}

TEST(AdmissionTest, PrefetchesWaitForWhoDecodes) {
  auto early = computing(1, 1000, 100);
  early.prefetch = true;
  EXPECT_EQ(chunk_of(decide(world({early, decoding(2, 10, 1, 50)})), 1), 0U);
  EXPECT_GT(chunk_of(decide(world({early})), 1), 0U);
}

// Deterministic requests are alone, whatever the policies are.

TEST(EnginePolicyTest, DeterministicRequestsAreAlone) {
  auto alone = waiting(1, 1500);
  alone.deterministic = true;
  ScheduleDecision decision = decide(world({alone, waiting(2, 1600)}));
  EXPECT_EQ(decision.admit, (Ids{1}));
  EXPECT_EQ(chunk_of(decision, 1), 512U);
  alone.phase = RequestPhase::kPrefill;
  alone.computed_tokens = alone.own_cells = 1024;
  decision = decide(world({alone, waiting(2, 10), decoding(3, 5, 1, 9)}));
  EXPECT_EQ(decision.admit, Ids{});
  EXPECT_EQ(decision.decode, Ids{});
  EXPECT_EQ(chunk_of(decision, 1), 476U);
  alone = waiting(1, 10);
  alone.deterministic = true;
  decision = decide(world({decoding(3, 5, 1, 9), alone, waiting(4, 100)}));
  EXPECT_EQ(decision.admit, Ids{}) << "what runs ends first, and nothing slips in before";
  EXPECT_EQ(decision.decode, (Ids{3}));
}

// Names.

TEST(PoliciesTest, DefaultsAreTheFirstOfTheirKind) {
  PolicyNames names = PolicySettings{}.names;
  const PolicyTables& tables = policy_tables();
  EXPECT_EQ(tables.order.front().name, names.order);
  EXPECT_EQ(tables.fairness.front().name, names.fairness);
  EXPECT_EQ(tables.admission.front().name, names.admission);
  EXPECT_EQ(tables.batch.front().name, names.batch);
  EXPECT_EQ(tables.lifetime.front().name, names.lifetime);
}

TEST(PoliciesTest, UnknownNamesAreAClearError) {
  EXPECT_TRUE(check_policy_names({}).has_value());
  EXPECT_TRUE(check_policy_names(PolicySettings{}.names).has_value());
  auto wrong = check_policy_names({.lifetime = "lru"});
  ASSERT_FALSE(wrong.has_value());
  EXPECT_EQ(wrong.error().code(), ErrorCode::kValueInvalid);
  EXPECT_EQ(wrong.error().message(),
            "there is no lifetime policy 'lru'; there are: cost, recent, drop");
  EXPECT_FALSE(check_policy_names({.order = "Program"}).has_value());
  EXPECT_FALSE(check_policy_names({.batch = "x"}).has_value());
  EXPECT_FALSE(check_policy_names({.admission = "x"}).has_value());
  EXPECT_FALSE(check_policy_names({.fairness = "x"}).has_value());
}

}  // namespace
}  // namespace sluice
