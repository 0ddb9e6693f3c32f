// Plan changes: what a person changes of a plan, or of its parameters, before forking a run of it.
// Changed plans go through parser, verification and lowering like all others. Kept once made, per
// thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "simulate/plan_shapes.h"

namespace sluice {

inline constexpr std::uint32_t kPlanChanges = 6;  // per plan that worlds draw from

// `change` 0, or nothing that can be changed in this way: the plan itself.
SimPlanPtr changed_plan(const SimPlanPtr& plan, std::uint32_t change);
// With the parameter `x`, where the plan has one and x is not 0.
Value changed_params(const SimPlan& plan, const Value& params, std::int64_t x);
// An object with another value under a key that it has.
Value with_member(const Value& object, std::string_view key, const Value& value);
// The id of one of the plan's steps.
std::string step_to_fork_from(const SimPlan& plan, std::uint32_t number);

}  // namespace sluice
