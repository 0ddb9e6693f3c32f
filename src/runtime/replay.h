// What else can be done with the journal of a run: go through it again and see whether this program
// decides the same, and find out what a fork may take over. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "journal/journal.h"
#include "runtime/recovery.h"
#include "runtime/reuse.h"

namespace sluice {

struct ReplayReport {
  std::uint64_t events = 0;
  std::optional<ReplayDifference> difference;  // the first
  bool ended = false;                          // the journal has the run's end
};

// Every decision of the run again. `trace` may be null.
Result<ReplayReport> replay_run(Journal& journal, std::string_view run_id, PhysicalPlanPtr plan,
                                ValueStore& values, TraceSink* trace, AdoptPlan adopt);

// What a fork asks of the run that it comes from.
struct ForkPoint {
  std::set<std::string> again;   // steps of the root plan that run again, by their TaskId names
  JournalSeq upto = UINT64_MAX;  // what the run did behind this record is not looked at
  // What the run itself took over, when it was a fork too: with what keys its calls went out.
  const ReuseTable* taken_over = nullptr;
};

// What a fork of a run may take over, from the old run's journal and plan. The same for the same
// journal up to the same record: a fork that is taken up again asks once more.
struct ReuseReport {
  std::shared_ptr<const ReuseTable> table;
  std::uint64_t reusable = 0;                  // calls whose results may be taken over
  std::set<std::string> from;                  // ForkPoint::again
  std::map<std::string, std::uint64_t> taken;  // `reusable` by step of the root plan
  // Steps outside `from` with calls that are made again all the same: streams, calls that failed or
  // were undone, agents that had not come to their answer.
  std::set<std::string> repeated;
  Value params;          // of the old run; may hold values that rest in `values`
  JournalSeq first = 0;  // of the records that were looked at; not 1: the run was compacted
  JournalSeq last = 0;
};

// kRunChanged when a `once` call outside of `again` would be made a second time: one whose result
// cannot be taken over.
Result<ReuseReport> build_reuse_table(Journal& journal, std::string_view run_id,
                                      PhysicalPlanPtr plan, ValueStore& values, AdoptPlan adopt,
                                      const ForkPoint& point);
// The same from one step of the root plan on: it and all that depends on it runs again ("": nothing
// has to). kStepUnknown.
Result<ReuseReport> build_reuse_table(Journal& journal, std::string_view run_id,
                                      PhysicalPlanPtr plan, ValueStore& values, AdoptPlan adopt,
                                      const std::string& from_step);

// `from_step` and the steps of the plan that depend on it, by their TaskId names. kStepUnknown.
Result<std::set<std::string>> steps_from(const PhysicalPlan& plan, const std::string& from_step);

}  // namespace sluice
