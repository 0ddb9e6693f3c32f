// Other forms of the plan that a step runs for many items: the same steps in another order, so that
// nothing of them lies where it lay, and the same results. For histories in which a run changes the
// form of its rows. Pure.
#pragma once

#include <cstdint>

#include "base/random.h"
#include "plan/physical.h"

namespace sluice {

// Null where there is no other order.
PhysicalPlanPtr other_form(const PhysicalPlan& plan, Random& random);

}  // namespace sluice
