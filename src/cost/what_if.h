// What a run would have taken with something changed: the tasks that it really had, with what each
// waited for and how long it worked, are scheduled once more on paper with more places, or with a
// step or a model that is faster. The schedule is a list schedule in the order in which the tasks
// really began, so that with no change it comes close to what happened. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace sluice {

inline constexpr std::uint32_t kNoTask = 0xFFFF'FFFF;

// Places that tasks take while they work. Several pools may have one name (a step's `concurrency`
// holds in each run of its sub-plan); a change is one of all of them.
struct PlacePool {
  std::string name;          // "tool:db.query", "model:default", "step ask", "run"
  std::uint32_t places = 0;  // 0: no limit
  double stretch = 1;        // its tasks stand for others too and work so many times as long
};

struct RealizedTask {
  std::uint32_t step = kNoTask;  // in RealizedRun::steps; kNoTask: it only joins others
  std::int64_t start_ns = 0;     // in the life of the run, as it was
  std::int64_t end_ns = 0;
  std::vector<std::uint32_t> after;    // tasks that must have ended
  std::vector<std::uint32_t> pools;    // a place of each while it works, in this order
  std::uint32_t held_until = kNoTask;  // the places are given back when that task has ended
};

struct RealizedRun {
  std::int64_t begin_ns = 0;
  std::vector<std::string> steps;  // "rows/ask"
  std::vector<PlacePool> pools;
  std::vector<RealizedTask> tasks;
};

// When all that each task waits for had ended, and never later than it began.
std::vector<std::int64_t> ready_times(const RealizedRun& run);
// From the task that ended last back along what each waited for longest; in time order.
std::vector<std::uint32_t> realized_path(const RealizedRun& run);

struct Change {
  enum class Kind : std::uint8_t { kNone, kMorePlaces, kStepFaster, kPoolFaster };
  Kind kind = Kind::kNone;
  std::string name;          // of the step, or of the pools
  std::uint32_t places = 0;  // kMorePlaces: how many more
  double factor = 1;         // kStepFaster, kPoolFaster: so many times as fast
  friend bool operator==(const Change&, const Change&) = default;
};

struct PaperSchedule {
  std::vector<std::int64_t> start_ns;  // by task, from the run's begin
  std::vector<std::int64_t> end_ns;
  std::int64_t length_ns = 0;
};
// nullopt: the tasks wait for each other in a circle.
std::optional<PaperSchedule> simulate_run(const RealizedRun& run, const Change& change = {});

// What is worth trying: pools with a limit that tasks waited for, the steps that worked longest,
// the models.
std::vector<Change> possible_changes(const RealizedRun& run);

struct ChangeEffect {
  Change change;
  std::int64_t saved_ns = 0;
};
struct WhatIf {
  std::int64_t unchanged_ns = 0;      // the run on paper as it was
  std::vector<ChangeEffect> effects;  // what saves most first; nothing below one part in 200
};
std::optional<WhatIf> try_changes(const RealizedRun& run, std::span<const Change> changes,
                                  std::size_t most = 3);

}  // namespace sluice
