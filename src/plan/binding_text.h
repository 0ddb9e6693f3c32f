// A binding as JSON that tells expressions and constants apart: for hashes and for `explain`.
#pragma once

#include "data/value.h"
#include "plan/binding.h"

namespace sluice {

// Constants stand for themselves, an expression is {"$expr": TEXT}.
Value binding_text(const Binding& binding);

}  // namespace sluice
