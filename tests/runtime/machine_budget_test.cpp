// What a call costs of a budget of calls: one that something else has answered costs none.
#include <gtest/gtest.h>

#include "tests/runtime/machine_rig.h"

namespace sluice::testing {
namespace {

using From = CallReturned::From;

// Three tasks, one at a time, and one call for all of them.
PhysicalPlan one_call_for_three() {
  PhysicalPlan plan;
  PhysicalStep step = call_step("ask");
  step.mapped = true;
  step.for_each.emplace();
  step.logical.concurrency = 1;
  plan.steps.push_back(std::move(step));
  plan.budget.calls = 1;
  return plan;
}

RunStatus end_of(const CallReturned& first, const CallReturned& second) {
  MachineRig rig(one_call_for_three());
  rig.items = 3;
  rig.start();
  rig.apply(CallEnded{rig.call("ask[0]").call, first, {}});
  if (rig.ends.empty()) rig.apply(CallEnded{rig.call("ask[1]").call, second, {}});
  if (rig.ends.empty()) rig.returns("ask[2]");
  return rig.ends.empty() ? RunStatus::kInterrupted : rig.ends.back().status;
}

TEST(MachineBudget, AnEqualCallAndAnEarlierRunCostNone) {
  const CallReturned equal{Value::integer(1), true, From::kEqual};
  const CallReturned earlier{Value::integer(1), true, From::kEarlierRun};
  EXPECT_EQ(end_of(equal, earlier), RunStatus::kSucceeded);
}

TEST(MachineBudget, ARealCallCostsOne) {
  const CallReturned real{Value::integer(1)};
  const CallReturned equal{Value::integer(1), true, From::kEqual};
  EXPECT_EQ(end_of(real, equal), RunStatus::kBudgetSpent);
  EXPECT_EQ(end_of(equal, real), RunStatus::kBudgetSpent);
}

// A run that decided so goes on deciding so.
TEST(MachineBudget, WhatOlderJournalsHaveAsCachedCostsOne) {
  const CallReturned cached{Value::integer(1), true};
  EXPECT_EQ(end_of(cached, cached), RunStatus::kBudgetSpent);
}

}  // namespace
}  // namespace sluice::testing
