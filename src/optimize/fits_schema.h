// Whether values of a type certainly fit a schema, so that nobody has to check them. Says yes only
// where it can be seen from `type`, `items`, `properties` and `required`. Pure; any thread.
#pragma once

#include "data/schema.h"
#include "data/type.h"

namespace sluice {

bool certainly_fits(const Type& type, const Schema& schema);
// Whether what fits the one fits the other: they say the same, whatever stands beside it.
bool same_demands(const Schema& left, const Schema& right);

}  // namespace sluice
