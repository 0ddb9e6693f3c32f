// The engine's scheduling policy: a pure function from a snapshot to the next batch. Simple rule,
// stated in the .cpp: decode tokens first, then prefill chunks within the token budget (after
// Sarathi-Serve), admission in arrival order within priority while the worst case fits the pool.
#pragma once

#include "schedule/snapshot.h"

namespace sluice {

ScheduleDecision form_batch(const ScheduleSnapshot& snapshot);

// The order of admission: higher priority first; within a priority those that wait for longer than
// kAgedNs come first in arrival order (so nobody starves), then higher rank, then arrival, then id.
inline constexpr SteadyNs kAgedNs = 10 * kNsPerSecond;
bool admitted_before(const RequestView& a, const RequestView& b, SteadyNs now_ns);

}  // namespace sluice
