// The engine's scheduling decision: one pure function from a snapshot to what happens next
// (docs/architecture/policy.md). The real engine calls it before every batch, the simulator's
// engine as well. Any thread; no state, no clock, no chance of its own: equal snapshots give equal
// decisions.
//
// It is put together from one policy of each kind, chosen by name in the snapshot's settings (and,
// for order and lifetime, by each request): who goes first (order/, fairness/), who is let in
// (admission/), what is computed (batch/), what becomes of cells that nobody uses (lifetime/). The
// tables of names are in policies.h.
//
// What the caller may rely on:
//  - carried out in the stated order (preempt, moves, admit, batch) a decision never needs more
//    cells, sequences or host bytes than there are; what a preempted request held counts as kept,
//    and can leave only with the next decision;
//  - it never moves or drops the kept runs that a request which it admits begins with
//    (RequestView::kept_run);
//  - while anybody runs or waits, and something can be done, it does something: some request
//    decodes, computes a chunk, is admitted or preempted, or decide_again_ns is set;
//  - a caller that carries out only the first admission and asks again with a new snapshot (which
//    sees what can be shared by then) gets an equally good answer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "schedule/snapshot.h"

namespace sluice {

ScheduleDecision decide(const ScheduleSnapshot& snapshot);

// The ids of the `most` waiting requests that decide() would look at first, in that order. For an
// engine that holds more waiting requests than it wants to match with the pool at every step: what
// the views say about prefixes is not needed for this.
std::vector<std::uint64_t> first_waiting(const ScheduleSnapshot& snapshot, std::size_t most);

}  // namespace sluice
