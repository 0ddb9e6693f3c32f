// How long the tasks of a `wait` wait, as far as that is known before the run. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>

#include "base/clock.h"
#include "cost/estimate.h"
#include "cost/known_values.h"
#include "plan/physical.h"

namespace sluice {

// `now`: when the run begins; 0: not known, and then no `until` is. nullopt: nobody knows. It waits
// for somebody, or for as long as something says that is only there once the plan runs.
std::optional<Estimate> wait_length_s(const PhysicalStep& step, std::uint32_t index,
                                      KnownValues& known, WallNs now);

}  // namespace sluice
