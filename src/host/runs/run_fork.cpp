#include "host/runs/run_fork.h"

#include <fmt/format.h>

#include <algorithm>

#include "host/files/spill_store.h"
#include "host/runs/batch_plan.h"
#include "host/runs/kept_rows.h"

namespace sluice {
namespace {

// What a step has given can be taken over, but not what it has kept in a file.
bool writes_without_rows(const Plan& plan, const std::vector<std::string>& again) {
  auto runs = [&again](std::string_view step) {
    return std::ranges::find(again, step) != again.end();
  };
  return batch_output(plan, {}).has_value() && runs(kBatchFinishStep) && !runs(kBatchPutStep);
}

}  // namespace

Result<std::shared_ptr<const ReuseTable>> reuse_of_fork(Journal& journal, const RunHeader& fork,
                                                        const PhysicalPlan& plan) {
  SpillStore values(values_of(journal));
  return reuse_of_fork(journal, fork, plan, {values, adopt_by_reading(values)});
}

Result<ForkPreparation> prepare_fork(Journal& journal, const std::string& run_id,
                                     const std::string& from, const PlanPtr& plan) {
  SpillStore values(values_of(journal));
  auto prepared = prepare_fork(journal, run_id, from, plan, {values, adopt_by_reading(values)});
  if (prepared && writes_without_rows(*plan, prepared->again)) {
    return fail(ErrorCode::kUsage,
                fmt::format("a batch forked from {} would write its output without rows: they were "
                            "kept for the old run, until it was written. Fork from {}, or from a "
                            "step before it",
                            from, kBatchPutStep));
  }
  return prepared;
}

}  // namespace sluice
