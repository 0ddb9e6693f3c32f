// The operator wait: times, signals, and what comes too early, too late or wrong.

#include <gtest/gtest.h>

#include "data/schema.h"
#include "tests/runtime/machine_rig.h"

namespace sluice::testing {
namespace {

PhysicalPlan one_wait() {
  PhysicalPlan plan;
  plan.steps = {wait_step("ok")};
  return plan;
}

PhysicalPlan many_waits() {
  PhysicalPlan plan = one_wait();
  plan.steps[0].mapped = true;
  plan.steps[0].for_each.emplace();
  return plan;
}

TEST(MachineWait, ASignalEndsIt) {
  MachineRig rig(one_wait());
  rig.start();
  ASSERT_EQ(rig.begins.size(), 1u);
  EXPECT_EQ(rig.begins[0].task_id, "ok");
  rig.waits_for("go", 99);
  ASSERT_EQ(rig.timers.size(), 1u);
  EXPECT_EQ(rig.timers[0].until_wall_ns, 99);
  ASSERT_EQ(rig.state->waits().size(), 1u);
  EXPECT_EQ(rig.state->waits()[0].wait.signal, "go");
  rig.signal("stop", 1);
  EXPECT_TRUE(rig.ends.empty());
  rig.signal("go", 5);
  EXPECT_EQ(rig.cleared, (std::vector{rig.timers[0].timer}));
  ASSERT_EQ(rig.ends.size(), 1u);
  EXPECT_EQ(rig.ends[0].status, RunStatus::kSucceeded);
  EXPECT_EQ(rig.outputs, (std::vector{Value::integer(5)}));
  EXPECT_TRUE(rig.state->waits().empty());
}

TEST(MachineWait, ASignalThatCameFirstIsKept) {
  MachineRig rig(one_wait());
  rig.start();
  rig.signal("go", 5);
  rig.signal("go", 6);
  rig.waits_for("go", 99);
  EXPECT_TRUE(rig.timers.empty());
  EXPECT_EQ(rig.outputs, (std::vector{Value::integer(5)}));
}

TEST(MachineWait, TimeGivesItsValueOrFails) {
  struct Case {
    std::string signal;
    std::optional<std::int64_t> value;
    RunStatus status;
  };
  for (const Case& one : {Case{"", 3, RunStatus::kSucceeded}, Case{"go", 3, RunStatus::kSucceeded},
                          Case{"go", std::nullopt, RunStatus::kFailed}}) {
    MachineRig rig(one_wait());
    rig.start();
    rig.waits_for(one.signal, 99, one.value);
    rig.apply(TimerFired{rig.timers[0].timer});
    ASSERT_EQ(rig.ends.size(), 1u);
    EXPECT_EQ(rig.ends[0].status, one.status);
    if (one.value) EXPECT_EQ(rig.outputs, (std::vector{Value::integer(*one.value)}));
    if (!one.value) EXPECT_EQ(rig.ends[0].errors[0].cause()->code(), ErrorCode::kTimeout);
    rig.signal("go", 1);  // too late
    EXPECT_EQ(rig.ends.size(), 1u);
  }
}

TEST(MachineWait, OnErrorTakesATimeoutOver) {
  PhysicalPlan plan = one_wait();
  plan.steps[0].logical.on_error = OnErrorRule{OnErrorRule::Kind::kValue, {}, {}, {}};
  plan.steps[0].logical.retry = RetryRule{.attempts = 5};
  MachineRig rig(std::move(plan));
  rig.start();
  rig.waits_for("go", 99);
  rig.apply(TimerFired{rig.timers[0].timer});
  EXPECT_EQ(rig.timers.size(), 1u) << "a wait has no retry";
  EXPECT_EQ(rig.ends.back().status, RunStatus::kSucceeded);
}

TEST(MachineWait, WhoWaitsLongestIsServedFirstUnlessOneIsNamed) {
  MachineRig rig(many_waits());
  rig.start();
  ASSERT_EQ(rig.begins.size(), 3u);
  for (std::size_t item : {2u, 0u, 1u}) {
    rig.apply(WaitBegan{.call = rig.begins[item].call, .signal = "go"});
  }
  rig.signal("go", 10, "ok[1]");
  rig.signal("go", 20, "ok[7]");  // nobody: kept for it
  rig.signal("go", 30);
  rig.signal("go", 40);
  EXPECT_EQ(rig.outputs, (std::vector{Value::integer(10), Value::integer(30), Value::integer(40)}));
  std::vector<std::uint32_t> order;
  for (const auto& told : rig.told) {
    if (told.kind == TraceKind::kSignal) order.push_back(told.call.task.item);
  }
  EXPECT_EQ(order, (std::vector<std::uint32_t>{1, 2, 0}));
}

TEST(MachineWait, AValueThatDoesNotFitIsToldAndDropped) {
  PhysicalPlan plan = one_wait();
  plan.steps[0].logical.output = Schema::literal(R"({"type": "integer", "minimum": 10})");
  MachineRig rig(std::move(plan));
  rig.start();
  rig.signal("go", 1);
  rig.waits_for("go");
  rig.signal("go", 2);
  EXPECT_TRUE(rig.ends.empty());
  EXPECT_EQ(rig.told_of(TraceKind::kSignal), 2u);
  EXPECT_EQ(rig.told.back().error, "SIGNAL_INVALID");
  rig.signal("go", 12);
  EXPECT_EQ(rig.outputs, (std::vector{Value::integer(12)}));
}

TEST(MachineWait, ItHoldsNoPlaceOfTheRunAndNoBudget) {
  PhysicalPlan plan = many_waits();
  plan.concurrency = 1;
  plan.budget.calls = 1;
  plan.steps.push_back(call_step("call"));
  MachineRig rig(std::move(plan));
  rig.start();
  EXPECT_EQ(rig.begins.size(), 3u);
  EXPECT_EQ(rig.starts.size(), 1u);
}

TEST(MachineWait, ItsConcurrencyHolds) {
  PhysicalPlan plan = many_waits();
  plan.steps[0].logical.concurrency = 2;
  MachineRig rig(std::move(plan));
  rig.start();
  ASSERT_EQ(rig.begins.size(), 2u);
  rig.waits_for("go");
  rig.signal("go", 1);
  EXPECT_EQ(rig.begins.size(), 3u);
}

TEST(MachineWait, WhatIsNotUnderstoodFailsIt) {
  MachineRig rig(one_wait());
  rig.start();
  WaitBegan began{.call = rig.begins[0].call};
  began.error = Error(ErrorCode::kWaitInvalid, "no such zone");
  rig.apply(began);
  EXPECT_EQ(rig.ends.back().status, RunStatus::kFailed);
}

TEST(MachineWait, ACancelledRunWaitsForNobody) {
  MachineRig rig(one_wait());
  rig.start();
  rig.waits_for("go", 99);
  rig.apply(CancelRequested{});
  EXPECT_EQ(rig.cleared.size(), 1u);
  EXPECT_EQ(rig.ends.back().status, RunStatus::kCancelled);
  EXPECT_TRUE(rig.state->waits().empty());
}

// A wait and a call in doubt: the wait is under way, so nothing is told yet.
TEST(MachineWait, ItCountsAsUnderWay) {
  PhysicalPlan plan = one_wait();
  plan.steps.push_back(call_step("call"));
  MachineRig rig(std::move(plan));
  rig.start();
  rig.fails("call", true);
  rig.waits_for("go");
  EXPECT_TRUE(rig.ends.empty());
  rig.signal("go", 1);
  ASSERT_EQ(rig.ends.size(), 1u);
  EXPECT_EQ(rig.ends[0].status, RunStatus::kInDoubt);
}

TEST(MachineWait, EachRoundOfARepeatWaitsAnew) {
  PhysicalPlan plan = one_wait();
  plan.steps[0].logical.repeat = RepeatRule{.max_rounds = 3};
  MachineRig rig(std::move(plan));
  rig.start();
  EXPECT_EQ(rig.begins[0].task_id, "ok#1");
  rig.waits_for("go");
  rig.signal("go", 1);
  EXPECT_EQ(rig.ends.back().status, RunStatus::kSucceeded) << "until holds at once";
}

}  // namespace
}  // namespace sluice::testing
