// Produced plans come and go: nothing that was known of one may be taken for another's.
#include <gtest/gtest.h>

#include <cstddef>
#include <memory>
#include <new>

#include "tests/runtime/machine_rig.h"

namespace sluice::testing {
namespace {

// Where one plan after the other is laid, as an allocator may do it.
class PlanPlace {
 public:
  PhysicalPlanPtr lay(PhysicalPlan plan) {
    taken = true;
    const PhysicalPlanPtr finished = finish_plan(std::move(plan));
    return {new (bytes_) PhysicalPlan(*finished), [this](const PhysicalPlan* gone) {
              gone->~PhysicalPlan();
              taken = false;
            }};
  }
  bool taken = false;

 private:
  alignas(PhysicalPlan) std::byte bytes_[sizeof(PhysicalPlan)];
};

PhysicalPlan plan_of_steps(std::size_t count) {
  PhysicalPlan plan;
  for (std::size_t i = 0; i < count; ++i) {
    plan.steps.push_back(call_step("s" + std::to_string(i)));
    if (i > 0) read_whole(plan.steps.back(), static_cast<std::uint32_t>(i - 1));
  }
  return plan;
}

TEST(ProducedPlans, OneWhereAnotherWasIsLaidOutAnew) {
  PhysicalPlan root;
  for (const char* id : {"p", "q"}) {
    root.steps.push_back(call_step(id));
    root.steps.back().logical.op = OperatorKind::kPlan;
    root.steps.back().produced_plan.emplace();
  }
  read_whole(root.steps[1], 0);
  PlanPlace place;
  MachineRig rig(std::move(root));
  rig.start();
  PhysicalPlanPtr small = place.lay(plan_of_steps(1));
  rig.apply(PlanAdmitted{{0, 0, 0}, small});
  rig.returns("p/s0");  // while somebody else has the plan too
  small.reset();
  ASSERT_FALSE(place.taken) << "the machine keeps plans that are over";
  rig.apply(PlanAdmitted{{0, 1, 0}, place.lay(plan_of_steps(5))});
  for (int i = 0; i < 5; ++i) rig.returns("q/s" + std::to_string(i));
  ASSERT_EQ(rig.ends.size(), 1u);
  EXPECT_EQ(rig.ends[0].status, RunStatus::kSucceeded);
}

}  // namespace
}  // namespace sluice::testing
