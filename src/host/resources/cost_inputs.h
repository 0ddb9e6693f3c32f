// What estimates of a plan are made from on this machine: its models' calibrations where they were
// measured before (nothing is measured here), prices from their settings, how much runs at once,
// and the token counters of open models. Reads files; the run's thread.
#pragma once

#include "cost/plan_cost.h"
#include "host/resources/plan_scope.h"
#include "host/resources/resources.h"

namespace sluice {

// `scope`: of the plan; its models may be open or not. What the pointers point to, and the opened
// models, outlive the result.
CostInputs make_cost_inputs(const PlanScope& scope, Resources& resources,
                            const StatisticsStore* history, const Value* params);

}  // namespace sluice
