// Who goes first: order/ and fairness/.
#include <gtest/gtest.h>

#include "schedule/engine_policy.h"
#include "tests/schedule/snapshots.h"

namespace sluice {
namespace {

// order/

TEST(OrderTest, ProgramsThatBeganFirstGoFirst) {
  RequestView late = waiting(1, 500);
  late.program = "late";
  late.program_since_ns = late.arrived_ns;
  RequestView early = waiting(2, 500);
  early.program = "early";
  early.program_since_ns = -5 * kNsPerSecond;
  EXPECT_EQ(first_waiting(world({late, early}), 9), (Ids{2, 1}));
  auto snapshot = world({late, early});
  snapshot.settings.names.order = "arrival";
  EXPECT_EQ(first_waiting(snapshot, 9), (Ids{1, 2}));
}

TEST(OrderTest, ShortOnesPassLongOnesThatCameALittleEarlier) {
  RequestView much = waiting(1, 3000);
  RequestView little = waiting(2, 30);
  EXPECT_EQ(first_waiting(world({much, little}), 9), (Ids{2, 1}));
  little.arrived_ns = 60 * kNsPerSecond;  // not those that come much later
  auto snapshot = world({much, little});
  snapshot.now_ns = 61 * kNsPerSecond;
  EXPECT_EQ(first_waiting(snapshot, 9), (Ids{1, 2}));
}

TEST(OrderTest, TheCriticalPathOfAProgramGoesFirst) {
  RequestView side = waiting(1, 100);
  RequestView main = waiting(2, 100);
  for (RequestView* view : {&side, &main}) {
    view->program = "p";
    view->program_since_ns = 0;
  }
  side.rank = 1;
  main.rank = 7;
  EXPECT_EQ(first_waiting(world({side, main}), 9), (Ids{2, 1}));
  main.remaining_path_s = 2;
  side.remaining_path_s = 30;
  EXPECT_EQ(first_waiting(world({side, main}), 9), (Ids{1, 2}));
}

TEST(OrderTest, LessLeftGoesFirstAmongProgramsThatBeganTogether) {
  RequestView much = waiting(1, 100);
  RequestView little = waiting(2, 100);
  much.program = "much";
  little.program = "little";
  much.remaining_path_s = 60;
  little.remaining_path_s = 3;
  EXPECT_EQ(first_waiting(world({much, little}), 9), (Ids{2, 1}));
}

TEST(OrderTest, DeadlinesAreSharedOutOverStages) {
  auto with = [](std::uint64_t id, double deadline_s, double path_s) {
    RequestView view = waiting(id, 200);
    view.policies.order = "deadline";
    view.deadline_ns = static_cast<SteadyNs>(deadline_s * kNsPerSecond);
    view.remaining_path_s = path_s;
    return view;
  };
  EXPECT_EQ(first_waiting(world({with(1, 20, 0), with(2, 10, 0)}), 9), (Ids{2, 1}));
  EXPECT_EQ(first_waiting(world({with(1, 10, 0), with(2, 10, 9)}), 9), (Ids{2, 1}))
      << "who has much left after this has less time for this";
}

TEST(OrderTest, SharingKeepsGroupsTogether) {
  std::vector<RequestView> requests;
  for (std::uint64_t id = 1; id <= 6; ++id) {
    requests.push_back(waiting(id, 400));
    requests.back().prefix_group = 1 + id % 2;
  }
  requests[0].shared_tokens = 300;  // of group 2: its prefix is there
  auto snapshot = world(requests);
  snapshot.settings.names.order = "sharing";
  EXPECT_EQ(first_waiting(snapshot, 9), (Ids{1, 3, 5, 2, 4, 6}));
}

TEST(OrderTest, RequestsWithDifferentOrdersCompare) {
  RequestView calm = waiting(1, 100);
  RequestView urgent = waiting(2, 100);
  urgent.policies.order = "deadline";
  urgent.deadline_ns = urgent.arrived_ns;
  RequestView unknown = waiting(3, 100);
  unknown.policies.order = "no such order";
  EXPECT_EQ(first_waiting(world({calm, urgent, unknown}), 2), (Ids{2, 1}));
}

TEST(OrderTest, PriorityIsAboveAllAndAgeAboveTheKey) {
  RequestView old = waiting(1, 3000);
  RequestView fresh = waiting(2, 10);
  fresh.arrived_ns = 200 * kNsPerSecond;
  RequestView urgent = waiting(3, 3000);
  urgent.priority = 1;
  urgent.arrived_ns = 200 * kNsPerSecond;
  old.policies.order = "deadline";
  old.deadline_ns = 1'000'000 * kNsPerSecond;
  auto snapshot = world({old, fresh, urgent});
  snapshot.now_ns = 201 * kNsPerSecond;
  EXPECT_EQ(first_waiting(snapshot, 9), (Ids{3, 1, 2}));
  snapshot.settings.aged_ms = 1'000'000;
  EXPECT_EQ(first_waiting(snapshot, 9), (Ids{3, 2, 1}));
}

// fairness/

TEST(FairnessTest, TheLeastServedTenantGoesFirstAndBurstsAlternate) {
  std::vector<RequestView> requests;
  for (std::uint64_t id = 1; id <= 4; ++id) {
    requests.push_back(waiting(id, 100));
    requests.back().tenant = id <= 3 ? "a" : "b";
  }
  auto snapshot = world(requests);
  snapshot.tenants = {{.name = "a", .service = 10}, {.name = "b", .service = 10}};
  EXPECT_EQ(first_waiting(snapshot, 9), (Ids{4, 1, 2, 3})) << "level: who asks for less";
  snapshot.tenants[1].service = 10.3;  // a request here is about 0.2 s
  EXPECT_EQ(first_waiting(snapshot, 9), (Ids{1, 2, 4, 3}));
  snapshot.tenants[1].service = 50;
  EXPECT_EQ(first_waiting(snapshot, 9), (Ids{1, 2, 3, 4}));
  snapshot.settings.names.fairness = "none";
  snapshot.tenants[1].service = 0;
  EXPECT_EQ(first_waiting(snapshot, 9), (Ids{1, 2, 3, 4}));
}

TEST(FairnessTest, ALightTenantIsNotSlowedDown) {
  std::vector<RequestView> requests;
  for (std::uint64_t id = 1; id <= 6; ++id) {
    requests.push_back(decoding(id, 200, 5, 300));
    requests.back().tenant = "flood";
  }
  requests.push_back(computing(7, 2000, 500));
  requests.back().tenant = "flood";
  requests.push_back(decoding(8, 100, 5, 50));
  requests.back().tenant = "light";
  auto snapshot = world(requests);
  snapshot.tenants = {{.name = "flood", .service = 5}, {.name = "light", .service = 5}};
  ScheduleDecision decision = decide(snapshot);
  EXPECT_TRUE(has(decision.decode, 8));
  EXPECT_LE(decision.decode.size(), 2U);
  EXPECT_TRUE(decision.prefill.empty());
  snapshot.tenants[1].service = 50;  // it has had more than its share
  decision = decide(snapshot);
  EXPECT_EQ(decision.decode.size(), 7U);
  EXPECT_GT(chunk_of(decision, 7), 0U);
}

}  // namespace
}  // namespace sluice
