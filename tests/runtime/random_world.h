// A world for the state machine: it answers binds and calls by their names and a seed, in random
// order, repeats and delays events, cancels, settles doubt, sends signals, and watches the
// invariants. What it answers hangs on names alone; what happens next hangs on the order's seed.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "runtime/run_state.h"
#include "tests/runtime/random_plan.h"

namespace sluice::testing {

struct WorldOptions {
  bool cancels = false;
  bool duplicates = true;
  double failure = 0.2;
  double doubt = 0;
  bool settles = true;               // doubt is settled sooner or later
  bool signals_race = true;          // signals go to anybody and at any time, also in vain
  std::uint64_t order = 0;           // another one: the same answers in another order
  std::uint64_t snapshot_every = 0;  // events; 0: never
  PlanShape shape;
};

struct WorldReport {
  std::vector<std::string> violations;
  RunStatus status = RunStatus::kSucceeded;
  bool ended = false;
  std::uint64_t calls = 0;
  std::uint64_t tasks = 0;
  std::uint64_t events = 0;
  std::uint64_t undone = 0, doubts = 0, waits = 0, snapshots = 0;
  std::uint64_t fingerprint = 0;  // of the whole trace and all effects, in order
  std::map<TaskRef, TraceKind> ends;
};

WorldReport run_random_world(std::uint64_t seed, const WorldOptions& options);

}  // namespace sluice::testing
