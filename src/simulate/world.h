// World: one simulated history. Processes run the real loop, recovery and journal over a simulated
// disk, tools, models, clock and people; everything that happens follows from the scenario. At the
// end the history is checked (checks.cpp). One thread; any number of worlds side by side on others.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/value.h"
#include "runtime/effect.h"
#include "simulate/scenario.h"

namespace sluice {

struct Violation {
  std::string check;  // "once_twice", "acknowledged_lost", ...
  std::string what;
};

struct WorldReport {
  std::vector<Violation> violations;  // the first few
  bool ended = false;                 // the run has an end that was told
  bool in_doubt = false;              // it stopped in doubt, and nobody settled it
  bool damaged = false;               // the disk rotted and the journal said so
  RunStatus status = RunStatus::kSucceeded;
  Value result;
  std::uint64_t happened = 0;  // events of the queue
  std::uint64_t points = 0;    // chances to die
  std::uint64_t crashes = 0;
  std::uint64_t boots = 0;
  std::uint64_t deeds = 0;
  std::uint64_t records = 0;  // in the journal at the end
  std::uint64_t forks = 0;    // that were made
  std::uint64_t refused = 0;  // forks that were not
  std::uint64_t reused = 0;   // calls whose results a fork took over
  // Snapshots that were read back with a plan in them that was produced below a sub-plan.
  std::uint64_t nested_restored = 0;
  std::uint64_t replans = 0;      // forms that processes gave to steps, as far as they lived
  std::uint64_t fingerprint = 0;  // equal for equal histories, event for event
};

// `story`, when given, gets a line for whatever happens, for people.
WorldReport run_world(const Scenario& scenario, std::string* story = nullptr);
// A plan in a world without trouble; kept per thread.
const WorldReport& undisturbed(const RunPlan& runs);

}  // namespace sluice
