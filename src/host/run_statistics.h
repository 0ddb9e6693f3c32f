// RunStatistics: folds a run's trace into what later runs want to know of its steps, by the
// meaning of a step. Cheap enough for steps of a microsecond: steps that call nothing and have no
// condition cost a branch. What an earlier process of the run did is not counted again: that
// process has told of it. The run's thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "cost/conditions.h"
#include "cost/step_statistics.h"
#include "host/open_call_times.h"
#include "runtime/trace.h"

namespace sluice {

class RunStatistics final : public TraceSink {
 public:
  static constexpr std::size_t kMostPlans = 256;  // beyond: further produced plans are not learned

  void on_trace(const TraceEvent& event) override;
  // What is new since it was taken last.
  StatisticsTable take();

 private:
  struct Row {
    StepStatistics seen;
    std::uint64_t evaluated = 0, held = 0;  // of its fresh conditions together
  };
  struct PlanRows {
    Hash256 hash;
    std::vector<Hash256> steps;       // their hashes
    std::vector<Hash256> conditions;  // of the fresh conditions of each; zero: none
    std::vector<Hash256> items;       // of what each goes over, or its own where it streams
    std::vector<Row> rows;
  };

  PlanRows* rows_of(const PhysicalPlan& plan);
  void call_ended(const TraceEvent& event, Row& row);
  void task_ended(const TraceEvent& event, Row& row);

  bool recovering_ = false;
  OpenCallTimes open_calls_;
  std::map<Hash256, std::unique_ptr<PlanRows>> plans_;
  // Where a plan lay last. Another may lie there now: its hash is compared.
  struct Seen {
    const PhysicalPlan* plan = nullptr;
    PlanRows* rows = nullptr;
  };
  std::array<Seen, 4> seen_;
};

}  // namespace sluice
