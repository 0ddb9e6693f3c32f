// Logical plan to physical plan: edges from references, flow against wait, topological order,
// ranks, step hashes. The plan must have been verified; pure.
#pragma once

#include "base/error.h"
#include "plan/physical.h"
#include "plan/tool_catalog.h"

namespace sluice {

Result<PhysicalPlanPtr> lower_plan(const PlanPtr& plan, const ToolCatalog& tools);

// The meaning of a task with its inputs: step hash and the canonical inputs. For reuse and cache.
Hash256 result_key(const PhysicalStep& step, const Value& bound_inputs);

}  // namespace sluice
