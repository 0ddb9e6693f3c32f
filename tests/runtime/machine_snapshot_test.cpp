// Snapshots that were damaged are refused and crash nobody; shared paths stay shared.

#include <gtest/gtest.h>

#include "base/random.h"
#include "tests/runtime/machine_rig.h"

namespace sluice::testing {
namespace {

PhysicalPlan mixed_plan() {
  PhysicalPlan inner;
  inner.steps = {call_step("deep"), wait_step("ok")};
  PhysicalPlan plan;
  plan.undo = true;
  plan.steps = {call_step("rows"), call_step("sub"), call_step("after")};
  plan.steps[0].mapped = true;
  plan.steps[0].has_undo = true;
  plan.steps[0].for_each.emplace();
  plan.steps[1].logical.op = OperatorKind::kPlan;
  plan.steps[1].logical.timeout_ms = 1000;
  plan.steps[1].plan = finish_plan(std::move(inner));
  read_whole(plan.steps[2], 0);
  return plan;
}

Result<PhysicalPlanPtr> no_plan(const AdmissionRef&, const PhysicalStep&, const Value&) {
  return fail(ErrorCode::kInternal, "nothing was admitted");
}

std::string busy_snapshot(const PhysicalPlanPtr& plan) {
  MachineRig rig{PhysicalPlan(*plan)};
  rig.start();
  rig.returns("rows[1]");
  rig.fails("rows[0]", true);
  rig.waits_for("go", 99);
  rig.signal("other", 3);
  return rig.state->snapshot();
}

TEST(MachineSnapshot, BytesThatNobodyWroteAreRefused) {
  PhysicalPlanPtr plan = finish_plan(mixed_plan());
  const std::string whole = busy_snapshot(plan);
  ASSERT_TRUE(RunState::restore(whole, plan, no_plan, nullptr));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(RunState::restore(whole.substr(0, size), plan, no_plan, nullptr)) << size;
  }
  Random random(1);
  for (int round = 0; round < 3000; ++round) {
    std::string bytes = whole;
    for (std::uint64_t flips = 1 + random.below(3); flips > 0; --flips) {
      bytes[random.below(bytes.size())] = static_cast<char>(random.next());
    }
    auto restored = RunState::restore(bytes, plan, no_plan, nullptr);  // or not, but no crash
    if (restored) (*restored)->snapshot();
  }
}

TEST(MachineSnapshot, OneOfANewerProgramSaysSo) {
  PhysicalPlanPtr plan = finish_plan(mixed_plan());
  std::string bytes = busy_snapshot(plan);
  bytes[0] = 99;
  auto restored = RunState::restore(bytes, plan, no_plan, nullptr);
  ASSERT_FALSE(restored);
  EXPECT_EQ(restored.error().code(), ErrorCode::kJournal);
}

// A chain of steps: the path of each is the path of the one before and itself.
TEST(MachineSnapshot, PathsStayShared) {
  PhysicalPlan plan;
  constexpr std::uint32_t kSteps = 200;
  for (std::uint32_t step = 0; step < kSteps; ++step) {
    plan.steps.push_back(call_step("s" + std::to_string(step)));
    if (step > 0) read_whole(plan.steps[step], step - 1);
  }
  MachineRig rig{PhysicalPlan(plan)};
  rig.start();
  for (std::uint32_t step = 0; step + 1 < kSteps; ++step) {
    rig.returns("s" + std::to_string(step));
  }
  const std::string bytes = rig.state->snapshot();
  EXPECT_LT(bytes.size(), kSteps * 150);
  PhysicalPlanPtr same = finish_plan(std::move(plan));
  auto restored = RunState::restore(bytes, same, no_plan, nullptr);
  ASSERT_TRUE(restored);
  EXPECT_EQ((*restored)->outcome(RunStatus::kInterrupted).critical_path.size(), kSteps - 1u);
}

}  // namespace
}  // namespace sluice::testing
