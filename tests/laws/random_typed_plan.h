// Random plans in which everything fits: parameters, lists with equal rows, maps that flow and
// wait, model steps whose answers bite as conditions, tools that only look and tools that act,
// conjunctions over rows, parameters and other steps, joins, rules for failures, sub-plans, steps
// that are written twice, and results that read some of it. As text; most of them verify. Pure.
#pragma once

#include <cstdint>
#include <string>

#include "data/value.h"

namespace sluice::laws {

struct RandomPlan {
  std::string text;
  Value params;  // some; the rest has defaults
};

RandomPlan random_typed_plan(std::uint64_t seed);

}  // namespace sluice::laws
