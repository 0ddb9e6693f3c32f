// Logical plan to physical plan: edges from references, flow against wait, topological order,
// ranks, step hashes. The plan must have been verified; pure.
#pragma once

#include <string_view>

#include "base/error.h"
#include "plan/physical.h"
#include "plan/tool_catalog.h"

namespace sluice {

// What plans and steps of them mean where that is known from before they were rewritten: it is not
// hashed again.
class KnownMeanings {
 public:
  virtual ~KnownMeanings() = default;
  // nullptr: not known. Valid while the plan is lowered.
  virtual const Hash256* of(const Plan& plan) const = 0;
  virtual const Hash256* of(const Plan& plan, std::string_view step) const = 0;
};

// `known` may be nullptr.
Result<PhysicalPlanPtr> lower_plan(const PlanPtr& plan, const ToolCatalog& tools,
                                   const KnownMeanings* known = nullptr);

// The meaning of a task with its inputs: step hash and the canonical inputs. For reuse and cache.
Hash256 result_key(const PhysicalStep& step, const Value& bound_inputs);

}  // namespace sluice
