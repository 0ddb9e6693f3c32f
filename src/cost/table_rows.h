// How many rows a table step is expected to give. Pure; any thread.
#pragma once

#include "cost/estimate.h"
#include "plan/physical.h"

namespace sluice {

// `from`: rows of the list that it takes. `map`: the step whose slots these are, if they are one's;
// null else. Each operand of `where` lets a part of the rows through that nobody has counted; what
// the map has asked of its rows already lets all through. A row has one match, and groups are as
// many as items of a list of which nothing is known.
Estimate table_rows(const PhysicalStep& table, const Estimate& from, const PhysicalStep* map);

}  // namespace sluice
