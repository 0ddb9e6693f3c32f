// Shrinking: a scenario that fails, made smaller while it fails in the same way: fewer crashes and
// acts, less trouble, fewer steps. Deterministic. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "simulate/world.h"

namespace sluice {

struct Shrunk {
  Scenario scenario;
  WorldReport report;
  std::uint64_t tried = 0;  // worlds that were run
};

// `report` is what the scenario gave; at least one violation. At most `most` worlds are run.
Shrunk shrink(const Scenario& scenario, const WorldReport& report, std::uint64_t most = 600);

// For people: what is wrong, where and how to see it again. `commit`: of the sources, or "".
std::string failure_text(const Scenario& scenario, const WorldReport& report,
                         std::string_view commit);

}  // namespace sluice
