// A random table over rows that a map has made of items and of calls about them, so that parts of
// its `where` can be asked before the calls. Inside of tests/laws/. One thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/laws/plan_parts.h"

namespace sluice::laws {

struct ToldTable {
  std::vector<Made> before;  // what its rows are made of, the map last
  Made table;                // numbers
};

// `items`: rows or numbers. `new_id`: of another step.
ToldTable told_table(Dice& dice, const Items& items, bool items_may_skip,
                     const std::vector<std::string>& params,
                     const std::function<std::string()>& new_id);

}  // namespace sluice::laws
