// A world for the state machine: it answers binds and calls by a seed, in random order, repeats and
// delays events, and watches the invariants.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "runtime/run_state.h"

namespace sluice::testing {

struct WorldOptions {
  bool interrupts = false;
  bool duplicates = true;
  double failure = 0.2;
  double doubt = 0;
};

struct WorldReport {
  std::vector<std::string> violations;
  RunStatus status = RunStatus::kSucceeded;
  bool ended = false;
  std::uint64_t calls = 0;
  std::uint64_t tasks = 0;
  std::uint64_t fingerprint = 0;  // of the whole trace, in order
};

WorldReport run_random_world(std::uint64_t seed, const WorldOptions& options);
WorldReport run_world(const PhysicalPlanPtr& plan, Random random, const WorldOptions& options);

}  // namespace sluice::testing
