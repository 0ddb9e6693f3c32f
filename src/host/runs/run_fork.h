// Forks of runs of this machine: runtime/run_fork.h with the values and produced plans of a journal
// as the host keeps them. One thread.
#pragma once

#include <memory>
#include <string>

#include "host/runs/past_run.h"
#include "runtime/run_fork.h"

namespace sluice {

Result<std::shared_ptr<const ReuseTable>> reuse_of_fork(Journal& journal, const RunHeader& fork,
                                                        const PhysicalPlan& plan);

// kUsage, too, when a batch would write its output without the rows that it is made of.
Result<ForkPreparation> prepare_fork(Journal& journal, const std::string& run_id,
                                     const std::string& from, const PlanPtr& plan);

}  // namespace sluice
