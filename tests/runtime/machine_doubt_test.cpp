// Doubt: a call that may or may not have happened stays open, and what waits for it waits.

#include <gtest/gtest.h>

#include "tests/runtime/machine_rig.h"

namespace sluice::testing {
namespace {

// a -> b, and c beside them.
PhysicalPlan small_plan() {
  PhysicalPlan plan;
  plan.steps = {call_step("a"), call_step("b"), call_step("c")};
  read_whole(plan.steps[1], 0);
  return plan;
}

TEST(TaskRefs, TheHashesOfJournalsNeverChange) {
  CallRef call{{7, 3, 11}, 2, 4, 1, 0};
  EXPECT_EQ(call_hash(call), 13352980228231678532ull);
  EXPECT_EQ(call_hash(call, 5), 677880736565641702ull);
  EXPECT_EQ(frame_id(call), 842115164103860794ull);
  EXPECT_NE(frame_id(CallRef{}), 0ull);
}

TEST(MachineDoubt, OnlyItsBranchWaitsAndItIsToldOnce) {
  MachineRig rig(small_plan());
  rig.start();
  rig.fails("a", true);
  EXPECT_TRUE(rig.ends.empty()) << "c still runs";
  rig.returns("c");
  ASSERT_EQ(rig.ends.size(), 1u);
  EXPECT_EQ(rig.ends[0].status, RunStatus::kInDoubt);
  ASSERT_EQ(rig.ends[0].errors.size(), 1u);
  EXPECT_EQ(rig.ends[0].errors[0].code(), ErrorCode::kInDoubt);
  EXPECT_FALSE(rig.state->ended());
  ASSERT_EQ(rig.state->doubts().size(), 1u);
  EXPECT_EQ(rig.state->doubts()[0].task_id, "a");
  rig.fails("a", true);           // told again
  rig.signal("nobody_waits", 1);  // changes nothing
  EXPECT_EQ(rig.ends.size(), 1u);
  EXPECT_EQ(rig.told_of(TraceKind::kTaskInDoubt), 1u);
  rig.returns("a");  // somebody found out
  EXPECT_EQ(rig.told_of(TraceKind::kDoubtEnded), 1u);
  EXPECT_TRUE(rig.state->doubts().empty());
  rig.returns("b");
  ASSERT_EQ(rig.ends.size(), 2u);
  EXPECT_EQ(rig.ends[1].status, RunStatus::kSucceeded);
  EXPECT_TRUE(rig.ends[1].errors.empty()) << rig.ends[1].errors[0].to_string();
  EXPECT_TRUE(rig.state->ended());
}

TEST(MachineDoubt, ASettledFailureFollowsTheRules) {
  PhysicalPlan plan = small_plan();
  plan.steps[0].logical.retry = RetryRule{.attempts = 2};
  MachineRig rig(std::move(plan));
  rig.start();
  rig.returns("c");
  rig.fails("a", true);
  EXPECT_TRUE(rig.timers.empty()) << "nobody may try again before it is known";
  rig.fails("a");
  ASSERT_EQ(rig.timers.size(), 1u);
  rig.apply(TimerFired{rig.timers[0].timer});
  EXPECT_EQ(rig.call("a").call.attempt, 2u);
  EXPECT_EQ(rig.call("a").idempotency_key, rig.starts[0].idempotency_key);
}

TEST(MachineDoubt, ItsPlacesAreFreeAndTakenAgainWhenItIsMadeAgain) {
  PhysicalPlan plan;
  plan.concurrency = 1;
  plan.steps = {call_step("a"), call_step("b")};
  MachineRig rig(std::move(plan));
  rig.start();
  EXPECT_EQ(rig.started(), (std::vector<std::string>{"a"}));
  rig.fails("a", true);
  EXPECT_EQ(rig.started(), (std::vector<std::string>{"a", "b"}));
  rig.apply(CallResumed{rig.call("a").call});
  EXPECT_EQ(rig.starts.size(), 2u) << "b has the only place";
  rig.returns("b");
  EXPECT_EQ(rig.started(), (std::vector<std::string>{"a", "b", "a"}));
  EXPECT_EQ(rig.starts[2].call, rig.starts[0].call);
  EXPECT_EQ(rig.starts[2].idempotency_key, rig.starts[0].idempotency_key);
  rig.returns("a");
  ASSERT_EQ(rig.ends.size(), 1u);
  EXPECT_EQ(rig.ends[0].status, RunStatus::kSucceeded);
}

TEST(MachineDoubt, ACancelledRunWithoutUndoEndsWithItsDoubts) {
  MachineRig rig(small_plan());
  rig.start();
  rig.fails("a", true);
  rig.apply(CancelRequested{0, "enough"});
  EXPECT_EQ(rig.cancels.size(), 1u) << "there is nothing to cancel of a call in doubt";
  EXPECT_TRUE(rig.ends.empty());
  rig.fails("c");
  ASSERT_EQ(rig.ends.size(), 1u);
  EXPECT_EQ(rig.ends[0].status, RunStatus::kCancelled);
  ASSERT_EQ(rig.ends[0].errors.size(), 2u);
  EXPECT_EQ(rig.ends[0].errors[1].code(), ErrorCode::kInDoubt);
  EXPECT_TRUE(rig.state->ended());
}

// A sub-plan that took too long is only over once it is known what its calls did.
TEST(MachineDoubt, ASubPlanPastItsTimeWaitsForItsDoubt) {
  PhysicalPlan inner;
  inner.steps = {call_step("deep")};
  PhysicalPlan plan;
  plan.steps = {call_step("sub")};
  plan.steps[0].logical.op = OperatorKind::kPlan;
  plan.steps[0].logical.timeout_ms = 1000;
  plan.steps[0].logical.retry = RetryRule{.attempts = 2};
  plan.steps[0].plan = finish_plan(std::move(inner));
  MachineRig rig(std::move(plan));
  rig.start();
  rig.fails("sub/deep", true);
  ASSERT_EQ(rig.ends.size(), 1u) << "a time limit starts nothing";
  const TaskRef first = rig.call("sub/deep").call.task;
  rig.apply(TimerFired{rig.timers[0].timer});
  EXPECT_EQ(rig.timers.size(), 1u) << "no second attempt while the first may still have happened";
  rig.returns("sub/deep");
  ASSERT_EQ(rig.timers.size(), 2u);
  rig.apply(TimerFired{rig.timers[1].timer});
  EXPECT_NE(rig.call("sub/deep").call.task.frame, first.frame) << "another attempt, another frame";
  rig.returns("sub/deep");
  EXPECT_EQ(rig.ends.back().status, RunStatus::kSucceeded);
}

TEST(MachineDoubt, CallsOfAModelAreNamedAndSettledOneByOne) {
  PhysicalPlan plan;
  plan.steps = {call_step("ask")};
  plan.steps[0].logical.op = OperatorKind::kLlm;
  MachineRig rig(std::move(plan));
  rig.start();
  rig.apply(CallEnded{
      rig.call("ask").call, ToolsWanted{Value(), Value::array(std::vector<Value>(2))}, {}});
  EXPECT_EQ(rig.started(),
            (std::vector<std::string>{"ask", "ask/turn#1/call#1", "ask/turn#1/call#2"}));
  rig.fails("ask/turn#1/call#2", true);
  rig.returns("ask/turn#1/call#1");
  ASSERT_EQ(rig.ends.size(), 1u);
  EXPECT_EQ(rig.state->doubts()[0].task_id, "ask/turn#1/call#2");
  rig.apply(CallResumed{rig.call("ask/turn#1/call#2").call});
  ASSERT_EQ(rig.starts.size(), 4u);
  rig.returns("ask/turn#1/call#2");
  EXPECT_EQ(rig.call("ask").call.turn, 2u) << "the model goes on";
  rig.returns("ask");
  EXPECT_EQ(rig.ends.back().status, RunStatus::kSucceeded);
}

}  // namespace
}  // namespace sluice::testing
