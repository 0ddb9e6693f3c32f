// Undoing: what has been done is undone in reverse order of completion when the run fails or is
// cancelled; and that, too, may fail, be tried again or end in doubt.

#include <gtest/gtest.h>

#include "tests/runtime/machine_rig.h"

namespace sluice::testing {
namespace {

using Names = std::vector<std::string>;

// a, b and c side by side, then d, which nothing undoes.
PhysicalPlan plan_with_undo() {
  PhysicalPlan plan;
  plan.undo = true;
  plan.steps = {call_step("a"), call_step("b"), call_step("c"), call_step("d")};
  for (std::uint32_t step : {0u, 1u, 2u}) {
    plan.steps[step].has_undo = true;
    read_whole(plan.steps[3], step);
  }
  return plan;
}

MachineRig failed_run(PhysicalPlan plan = plan_with_undo()) {
  MachineRig rig(std::move(plan));
  rig.start();
  rig.returns("b", 20);
  rig.returns("a", 10);
  rig.returns("c", 30);
  rig.fails("d");
  return rig;
}

TEST(MachineUndo, AFailedRunUndoesTheLastFirst) {
  MachineRig rig = failed_run();
  EXPECT_TRUE(rig.ends.empty());
  ASSERT_EQ(rig.started(), (Names{"a", "b", "c", "d", "-c"}));
  const StartCall undo = rig.starts.back();
  EXPECT_EQ(undo.undone, Value::integer(30));
  EXPECT_EQ(undo.args, Value::integer(1));
  EXPECT_EQ(undo.idempotency_key, rig.starts[2].idempotency_key + "/undo");
  EXPECT_TRUE(undo.call.undoes());
  rig.returns("c");
  rig.returns("a");
  rig.returns("b");
  EXPECT_EQ(rig.started(), (Names{"a", "b", "c", "d", "-c", "-a", "-b"}));
  ASSERT_EQ(rig.ends.size(), 1u);
  EXPECT_EQ(rig.ends[0].status, RunStatus::kFailed);
  EXPECT_EQ(rig.told_of(TraceKind::kTaskUndone), 3u);
}

TEST(MachineUndo, NothingIsUndoneThatThePlanDoesNotSay) {
  PhysicalPlan plan = plan_with_undo();
  plan.undo = false;
  MachineRig rig = failed_run(std::move(plan));
  ASSERT_EQ(rig.ends.size(), 1u);
  EXPECT_EQ(rig.starts.size(), 4u);
}

TEST(MachineUndo, ASuccessStays) {
  MachineRig rig(plan_with_undo());
  rig.start();
  for (const char* step : {"a", "b", "c", "d"}) rig.returns(step);
  EXPECT_EQ(rig.ends.at(0).status, RunStatus::kSucceeded);
}

TEST(MachineUndo, WhatCameFromACacheWasNeverDone) {
  PhysicalPlan plan;
  plan.undo = true;
  plan.steps = {call_step("a")};
  plan.steps[0].has_undo = true;
  plan.steps.push_back(call_step("z"));
  MachineRig rig(std::move(plan));
  rig.start();
  rig.apply(CallEnded{rig.call("a").call, CallReturned{Value::integer(1), true}, {}});
  rig.fails("z");
  EXPECT_EQ(rig.ends.at(0).status, RunStatus::kFailed);
  EXPECT_EQ(rig.starts.size(), 2u);
}

TEST(MachineUndo, AFailureIsToldAndTheOthersGoOn) {
  MachineRig rig = failed_run();
  rig.fails("c");
  rig.returns("a");
  rig.returns("b");
  ASSERT_EQ(rig.ends.size(), 1u);
  EXPECT_EQ(rig.ends[0].errors.back().code(), ErrorCode::kUndoFailed);
}

TEST(MachineUndo, ItIsTriedAgainAsTheStepSays) {
  PhysicalPlan plan = plan_with_undo();
  plan.steps[2].logical.retry = RetryRule{.attempts = 2};
  MachineRig rig = failed_run(std::move(plan));
  const StartCall first = rig.starts.back();
  rig.fails("c");
  ASSERT_EQ(rig.timers.size(), 1u);
  rig.apply(TimerFired{rig.timers[0].timer});
  const StartCall second = rig.starts.back();
  EXPECT_NE(second.call, first.call);
  EXPECT_EQ(second.idempotency_key, first.idempotency_key);
  rig.apply(CallEnded{first.call, CallReturned{}, {}});  // late: of the first try
  EXPECT_EQ(rig.starts.back().call, second.call);
  rig.fails("c");
  EXPECT_EQ(rig.started().back(), "-a") << "two tries are all";
}

TEST(MachineUndo, ItsDoubtStopsItUntilThatIsSettled) {
  MachineRig rig = failed_run();
  rig.fails("c", true);
  ASSERT_EQ(rig.ends.size(), 1u);
  EXPECT_EQ(rig.ends[0].status, RunStatus::kInDoubt);
  ASSERT_EQ(rig.state->doubts().size(), 1u);
  rig.apply(CallResumed{rig.starts.back().call});
  EXPECT_EQ(rig.started(), (Names{"a", "b", "c", "d", "-c", "-c"}));
  rig.fails("c", true);
  EXPECT_EQ(rig.ends.size(), 2u) << "doubt again";
  rig.returns("c");
  rig.returns("a");
  rig.returns("b");
  EXPECT_EQ(rig.ends.back().status, RunStatus::kFailed);
  EXPECT_TRUE(rig.state->ended());
}

TEST(MachineUndo, ACancelledRunWaitsForWhatMayHaveHappened) {
  MachineRig rig(plan_with_undo());
  rig.start();
  rig.returns("a", 10);
  rig.fails("b", true);
  rig.apply(CancelRequested{0, "enough"});
  rig.returns("c", 30);  // the cancel came too late for it
  ASSERT_EQ(rig.ends.size(), 1u);
  EXPECT_EQ(rig.ends[0].status, RunStatus::kInDoubt) << "b may have to be undone";
  rig.returns("b", 20);
  EXPECT_EQ(rig.started(), (Names{"a", "b", "c", "-b"})) << "it was the last to be known";
  rig.returns("b");
  rig.returns("c");
  rig.returns("a");
  EXPECT_EQ(rig.started(), (Names{"a", "b", "c", "-b", "-c", "-a"}));
  EXPECT_EQ(rig.ends.back().status, RunStatus::kCancelled);
}

}  // namespace
}  // namespace sluice::testing
