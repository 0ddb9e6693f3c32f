// Random steps that wait for one that may fail or that acts, through one that may be skipped, and
// then act or read themselves: what passes must leave in its order. As lines of a plan. Inside of
// tests/laws/. One thread.
#pragma once

#include <string>
#include <string_view>

#include "tests/laws/plan_parts.h"

namespace sluice::laws {

// `sub_param`: the parameter of the sub-plan `sub`, or "". The plan has the parameters n0, n1 and
// live.
std::string guarded_steps(Dice& dice, std::string_view sub_param);

}  // namespace sluice::laws
