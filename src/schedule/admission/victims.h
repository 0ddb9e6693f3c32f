// Who of the running requests waits again when cells or places run out. A preempted request loses
// no token: its cells become a kept run, which moves to host memory or is dropped as any other.
// Pure; lives for one call of decide().
#pragma once

#include <cstdint>
#include <vector>

#include "schedule/round.h"

namespace sluice {

// Of `running` (by rank): those to preempt so that at least `cells` of their own become free, or as
// many as may go. Never the first, never a deterministic one, lower priorities first; then, of the
// later half, the one that loses least for the cells that are needed, and who was preempted before
// counts as dearer each time. So the first always goes on, and some request ends.
std::vector<Candidate*> choose_victims(const Round& round, std::vector<Candidate*> running,
                                       std::int64_t cells);

// What is lost when it is preempted and goes on later.
double preemption_loss_s(const Round& round, const Candidate& one);

}  // namespace sluice
