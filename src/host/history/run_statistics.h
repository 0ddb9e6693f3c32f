// RunStatistics: folds a run's trace into what later runs want to know of its steps, by the
// meaning of a step. Cheap enough for steps of a microsecond: steps that call nothing and have no
// condition cost a branch. What an earlier process of the run did is not counted again: that
// process has told of it. The run's thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cost/call_levels.h"
#include "cost/conditions.h"
#include "cost/step_statistics.h"
#include "host/history/open_call_times.h"
#include "runtime/trace.h"

namespace sluice {

class RunStatistics final : public TraceSink {
 public:
  static constexpr std::size_t kMostPlans = 256;  // beyond: further produced plans are not learned

  void on_trace(const TraceEvent& event) override;
  // What is new since it was taken last.
  StatisticsTable take();
  // The same, and it stays: what this process has seen so far.
  StatisticsTable seen() const;

 private:
  struct Row {
    StepStatistics seen;
    std::uint64_t evaluated = 0, held = 0;  // of its fresh conditions together
    CallLevels levels;
  };
  // How much a callee has to do, at any time: calls that are under way, and their time so far in
  // all, of which the mean over a call's own time is taken.
  struct Load {
    std::uint64_t open = 0;
    SteadyNs at = 0;
    std::int64_t call_ns = 0;

    void advance(SteadyNs now);
  };
  struct PlanRows {
    Hash256 hash;
    std::vector<Hash256> steps;       // their hashes
    std::vector<Hash256> conditions;  // of the fresh conditions of each; zero: none
    std::vector<Hash256> items;       // of what each goes over, or its own where it streams
    std::vector<Load*> loads;         // of what each calls; null: not measured
    std::vector<Row> rows;
  };

  static void add(const PlanRows& plan, std::size_t step, const Row& row, StatisticsTable& table);
  PlanRows* rows_of(const PhysicalPlan& plan);
  void call_started(const TraceEvent& event);
  void load_ended(const TraceEvent& event, Load& load, Row& row, std::optional<SteadyNs> began);
  void call_ended(const TraceEvent& event, PlanRows& plan, Row& row);
  void task_ended(const TraceEvent& event, Row& row);

  bool recovering_ = false;
  OpenCallTimes open_calls_;
  OpenCallTimes open_loads_;           // Load::call_ns when each call began
  std::map<std::string, Load> loads_;  // by resource
  std::map<Hash256, std::unique_ptr<PlanRows>> plans_;
  // Where a plan lay last. Another may lie there now: its hash is compared.
  struct Seen {
    const PhysicalPlan* plan = nullptr;
    PlanRows* rows = nullptr;
  };
  std::array<Seen, 4> lately_;
};

}  // namespace sluice
