// AdaptiveRows: the first rows of a batch are a sample for the others. When conditions hold for
// other parts of them than was expected, or calls cost something else, the plan of a row is
// optimized again with what was seen, and rows that have not begun run that form of it. Nothing
// that was done is lost or done again, and the results are the same: both forms are made by exact
// passes of the same plan. It looks after 16 rows, and then each time that there are twice as many.
// Decides only; the run loop records it (RunLoop::replan). The run's thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cost/plan_cost.h"
#include "optimize/optimizer.h"
#include "plan/physical.h"
#include "runtime/trace.h"

namespace sluice {

// OptimizerSettings::without, for a batch that keeps the plan that it began with.
inline constexpr std::string_view kAdaptName = "adapt";

class AdaptiveRows {
 public:
  static constexpr std::uint64_t kFirstLook = 16;  // rows

  struct Replan {
    std::uint32_t step = 0;
    PhysicalPlanPtr plan;
    std::string why;  // for people
  };

  // The step of a batch's plan that runs the user's plan for each row; nullopt: there is none.
  static std::optional<std::uint32_t> rows_step(const PhysicalPlan& plan);

  // `expected`: of `plan`, when it was made.
  AdaptiveRows(PhysicalPlanPtr plan, std::uint32_t step, PlanEstimate expected);

  // A form that an earlier process of the run has given the step; in their order.
  void take_form(PhysicalPlanPtr form);
  void on_trace(const TraceEvent& event);
  bool due() const { return rows_ >= next_look_; }
  // The plan as its rows run it now.
  PhysicalPlanPtr plan() const;

  // `input.cost.sample`: what the rows have shown. nullopt: the rows stay with their form.
  std::optional<Replan> look(const OptimizerInput& input);

 private:
  PhysicalPlanPtr written_;  // the plan that the run began with
  std::uint32_t step_;
  PhysicalPlanPtr form_;  // of the step's sub-plan, as rows run it now
  PlanEstimate expected_;
  std::uint64_t forms_ = 0;  // that the step was given since
  std::uint64_t rows_ = 0;   // that ended in this process
  std::uint64_t next_look_ = kFirstLook;
  bool recovering_ = false;
};

}  // namespace sluice
