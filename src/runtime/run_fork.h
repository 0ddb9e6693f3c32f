// A fork: a new run that takes from an old one what is the same: results of steps whose meaning and
// inputs did not change, and for calls that are made again with the same inputs, their keys. Reads
// the old run's journal only. The command line, a resumed fork and the simulator prepare forks
// here. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "journal/journal.h"
#include "plan/physical.h"
#include "runtime/record.h"
#include "runtime/recovery.h"
#include "runtime/reuse.h"
#include "runtime/value_store.h"

namespace sluice {

// How a past run is read.
struct PastReading {
  ValueStore& values;  // finds what rests in the journal
  AdoptPlan adopt;
};

// Which records of the old run a fork knows: the first is not 1 in a compacted run. What the old
// run did later changes nothing. They stand in the settings of the fork's header.
struct ForkBounds {
  JournalSeq first = 0;
  JournalSeq last = 0;
};
std::vector<Value::Member> encode_fork_bounds(const ForkBounds& bounds);
Result<ForkBounds> read_fork_bounds(const Value& settings);  // kJournalDamaged

// What a fork takes from another run.
struct ForkedFrom {
  std::string run_id;
  std::string step;
  std::shared_ptr<const ReuseTable> reuse;
  // The records of that run that `reuse` was made from: the first is not 1 in a compacted run.
  JournalSeq first_seq = 0;
  JournalSeq last_seq = 0;
};

struct ForkPreparation {
  ForkedFrom forked;
  Value params;  // of the old run
  // Steps of the outermost plan whose results can be taken, with how many calls; and those that
  // run again, `from` first.
  std::vector<std::pair<std::string, std::uint64_t>> reusable;
  std::vector<std::string> again;
  std::vector<std::string> waits;  // before `from`: what people said then is asked again
};

// `plan`: of the new run, verified; the old one's where nothing else is wanted. kStepUnknown;
// kRunChanged when a `once` call before `from` would be made a second time.
Result<ForkPreparation> prepare_fork(Journal& journal, const std::string& run_id,
                                     const std::string& from, const PlanPtr& plan,
                                     const PastReading& reading);

// What a fork took from its run, made again for the process that takes the fork up: the old run's
// journal up to the record that the fork knows says the same as then. Null for a run that is no
// fork. kRunChanged when the old run is gone, or was compacted since.
Result<std::shared_ptr<const ReuseTable>> reuse_of_fork(Journal& journal, const RunHeader& fork,
                                                        const PhysicalPlan& plan,
                                                        const PastReading& reading);

}  // namespace sluice
