// What waited for what in a run: which steps are touched by a failure, and which calls with an
// effect had to come after which. Pure; any thread.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "tests/laws/law_run.h"

namespace sluice::laws {

// Steps of the root plan that failed, or that read or stand in for such a step, directly or not.
std::set<std::string> touched_steps(const LawRun& run);

// TaskIds of two calls with an effect: the later one waited for the earlier one.
struct Waited {
  std::string earlier;
  std::string later;
};
std::vector<Waited> waits_between_effects(const LawRun& run);

}  // namespace sluice::laws
