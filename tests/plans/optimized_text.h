// What optimizer passes make of a plan, as text for the `optimize` blocks of .test files: their
// notes, and how the steps differ from how they were written. Pure.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "data/value.h"
#include "plan/logical.h"

namespace sluice::plantest {

// `pass`: the only one that runs, or "all". `params` as given.
Result<std::string> optimized_text(const PlanPtr& plan, const Value& params, std::string_view pass);

}  // namespace sluice::plantest
