// Scenario: all that a world will meet, written down before it begins: the plan, where processes
// die, what people do, how the tools misbehave. A seed gives one; shrinking takes things out of it.
// Pure data; equal scenarios make equal worlds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "simulate/plan_shapes.h"

namespace sluice {

// A process dies at the n-th chance: a write or sync of the disk, a commit, or between two effects.
struct Crash {
  std::uint64_t point = 0;  // counted over the whole world, from 1
  bool power = false;       // the whole machine
  friend bool operator==(const Crash&, const Crash&) = default;
};

enum class ActKind : std::uint8_t {
  kSignal,      // a person sends one of the plan's signals
  kCancel,      // through the inbox
  kInterrupt,   // of the live process; twice is twice
  kRival,       // another process takes the run over while the first one lives
  kClockStep,   // of the wall clock, by `amount` seconds
  kDiskFull,    // until `amount` more things have happened
  kDiskErrors,  // likewise: some operations fail
  kToolsDown,   // likewise: no tool can be reached
  kResolve,     // a person settles what is in doubt, if anything is
  kRot,         // a byte of the store changes
  kReplan,      // items that have not begun run their plan in another form; `amount`: which
};
std::string_view act_name(ActKind kind);

struct Act {
  ActKind kind = ActKind::kSignal;
  std::uint64_t at = 0;  // when so many things have happened
  std::int64_t amount = 0;
  friend bool operator==(const Act&, const Act&) = default;
};

// A person forks the run: a new run, of the same plan or of a changed one.
struct Fork {
  // The old run is left for good when so many things have happened to it, as if its last process
  // had died; 0: it comes to its end first.
  std::uint64_t at = 0;
  std::uint32_t from = 0;    // which step of the new plan, counted round
  std::uint32_t change = 0;  // of the plan (plan_changes.h); 0: none
  std::int64_t x = 0;        // the parameter `x` of plans that have one; 0: as it was
  std::vector<Crash> crashes;
  std::vector<Act> acts;
  friend bool operator==(const Fork&, const Fork&) = default;
};

struct Scenario {
  std::uint64_t seed = 0;
  std::size_t shape = 0;
  std::uint32_t variant = 0;
  std::optional<ShapeText> plan;  // instead of shape and variant, while shrinking

  bool sqlite = false;  // over the simulated disk; else over a store in memory
  bool spills = false;  // larger values rest in the content store
  std::uint64_t compact_after = 0;
  double tool_trouble = 0;      // the share of calls that do not go well
  bool slow_commits = false;    // and a run's thread that is busy now and then
  bool duplicates = false;      // some answers come twice
  bool stops_in_doubt = false;  // nobody settles what is in doubt
  bool decodes_plan = false;    // a resumed process reads the physical plan from the journal
  std::vector<Crash> crashes;   // in order
  std::vector<Act> acts;        // in order
  std::vector<Fork> forks;      // of the run, of that fork, ...
};

// What is run: by the first run and by its forks, in order.
struct RunPlan {
  SimPlanPtr plan;
  Value params;
};
std::vector<RunPlan> run_plans(const Scenario& scenario);

Scenario make_scenario(std::uint64_t seed);
// The plan that it is about.
SimPlanPtr scenario_plan(const Scenario& scenario);
// For people: one fact a line.
std::string describe(const Scenario& scenario);

}  // namespace sluice
