// Admission of a plan that a step produced: nothing of it runs before all of it was checked against
// what its parent allows. Pure but for the scope it adds; the run's thread only.
#pragma once

#include "base/error.h"
#include "host/resources/resources.h"
#include "optimize/optimizer.h"
#include "plan/physical.h"
#include "runtime/effect.h"

namespace sluice {

struct AdmittedPlan {
  PhysicalPlanPtr plan;
  const PlanScope* scope = nullptr;
};

// How the plan is optimized once it is admitted.
struct AdmitOptions {
  OptimizerSettings optimizer;
  const StatisticsStore* history = nullptr;  // may be null
};

// kPlanRejected with every finding. `parent` is the scope of the step that runs it; `request.plan`
// and `request.args` hold no spilled values.
Result<AdmittedPlan> admit_plan(const AdmitPlan& request, const PlanScope& parent,
                                Resources& resources, const AdmitOptions& options = {});

// A plan that was admitted in an earlier process, as it was lowered then (`recorded`, of
// encode_physical). It is not checked again: what holds is what the journal says.
Result<AdmittedPlan> adopt_plan(const AdmitPlan& request, const Value& recorded,
                                const PlanScope& parent, Resources& resources);
// The same for who only reads the run and calls nothing.
Result<PhysicalPlanPtr> read_adopted(const AdmitPlan& request, const Value& recorded);

}  // namespace sluice
