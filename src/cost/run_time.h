// From what steps cost by themselves to the time of the run: the width of batches, the work on each
// resource, paths, ranks. The formula stands in plan_cost.h. Pure; any thread.
#pragma once

#include "cost/cost_tree.h"

namespace sluice {

struct RunTime {
  double least_s = 0;   // L
  double listed_s = 0;  // U
  double middle_s() const { return (least_s + listed_s) / 2; }
};

// Also writes work into the tree, and remaining_s, critical and the times of sub-plans into its
// steps.
RunTime time_of_run(CostTree& tree);

}  // namespace sluice
