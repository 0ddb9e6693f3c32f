// A fork: a new run that takes from an old one what is the same: results of steps whose meaning and
// inputs did not change, and for calls that are made again with the same inputs, their keys. Reads
// the old run's journal only. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "host/past_run.h"
#include "host/run_service.h"

namespace sluice {

struct ForkPreparation {
  ForkedFrom forked;
  Value params;  // of the old run
  // Steps of the outermost plan whose results can be taken, with how many calls; and those that
  // run again, `from` first.
  std::vector<std::pair<std::string, std::uint64_t>> reusable;
  std::vector<std::string> again;
  std::vector<std::string> waits;  // before `from`: what people said then is asked again
};

// What a fork took from its run, made again for the process that takes the fork up: the old run's
// journal up to the record that the fork knows says the same as then. Null for a run that is no
// fork. kRunChanged when the old run is gone, or was compacted since.
Result<std::shared_ptr<const ReuseTable>> reuse_of_fork(Journal& journal, const RunHeader& fork,
                                                        const PhysicalPlan& plan);

// `plan`: of the new run, verified; the old one's where nothing else is wanted. kStepUnknown;
// kRunChanged when a `once` call before `from` would be made a second time.
Result<ForkPreparation> prepare_fork(Journal& journal, const std::string& run_id,
                                     const std::string& from, const PlanPtr& plan);

}  // namespace sluice
