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

// What a call does to the world or sees of it: a question to a model neither.
Effect world_effect(const LawCall& call);

// Those, and steps of the root plan that read or stand in for one of them, directly or not.
std::set<std::string> with_all_behind(const LawRun& run, std::set<std::string> from);

// Steps of the root plan that a failure held up in the written run by their `after` or a status:
// they come behind a step that failed there, and that is skipped in the optimized run.
std::set<std::string> held_up_steps(const LawRun& written, const LawRun& optimized);

// TaskIds of a call with an effect, and of a later one with an effect or that reads, which waited
// for it.
struct Waited {
  std::string earlier;
  std::string later;
};
std::vector<Waited> waits_between_effects(const LawRun& run);

}  // namespace sluice::laws
