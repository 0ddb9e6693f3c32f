#include "host/runs/run_fork.h"

#include "host/files/spill_store.h"

namespace sluice {

Result<std::shared_ptr<const ReuseTable>> reuse_of_fork(Journal& journal, const RunHeader& fork,
                                                        const PhysicalPlan& plan) {
  SpillStore values(values_of(journal));
  return reuse_of_fork(journal, fork, plan, {values, adopt_by_reading(values)});
}

Result<ForkPreparation> prepare_fork(Journal& journal, const std::string& run_id,
                                     const std::string& from, const PlanPtr& plan) {
  SpillStore values(values_of(journal));
  return prepare_fork(journal, run_id, from, plan, {values, adopt_by_reading(values)});
}

}  // namespace sluice
