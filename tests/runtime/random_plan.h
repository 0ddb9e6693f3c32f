// Random physical plans for the state machine: shapes only, no expressions (the machine never looks
// inside values, so the tests answer its binds themselves).
#pragma once

#include <string>

#include "base/random.h"
#include "plan/physical.h"

namespace sluice::testing {

struct PlanShape {
  std::uint32_t max_steps = 8;
  std::uint32_t depth = 2;  // of sub-plans
  bool limits = true;       // budgets and time limits: what they cut hangs on the order of events
  bool undo = false;
};

PhysicalPlanPtr random_plan(Random& random, const PlanShape& shape);

// A step that calls something, without edges or rules.
PhysicalStep call_step(const std::string& id);
// Fills consumers and ranks.
PhysicalPlanPtr finish_plan(PhysicalPlan plan);

}  // namespace sluice::testing
