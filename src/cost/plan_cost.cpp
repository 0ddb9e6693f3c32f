#include "cost/plan_cost.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "cost/cost_tree.h"
#include "cost/known_values.h"
#include "cost/run_time.h"

namespace sluice {
namespace {

// The least trusted source among the steps that matter for the time.
EstimateSource source_of(const std::vector<StepEstimate>& steps) {
  constexpr double kMatters = 0.05;
  double all = 0;
  for (const StepEstimate& step : steps) all += step.busy_s.middle;
  EstimateSource source = EstimateSource::kExact;
  for (const StepEstimate& step : steps) {
    if (step.busy_s.middle < kMatters * all) continue;
    source = std::max({source, step.busy_s.source, step.calls.source});
  }
  return source;
}

// Of what is waited for: no work, and maybe most of the time.
EstimateSource source_of_waits(const CostTree& tree) {
  EstimateSource source = EstimateSource::kExact;
  for (std::size_t i = 0; i < tree.steps.size(); ++i) {
    const StepEstimate& step = tree.steps[i];
    if (tree.nodes[i].step->logical.op != OperatorKind::kWait) continue;
    if (step.critical || step.unknown_wait) source = std::max(source, step.task_s.source);
  }
  return source;
}

// The part of the longest path that passes whatever the work is.
double waited_s(const CostTree& tree) {
  double seconds = 0;
  for (std::size_t i = 0; i < tree.steps.size(); ++i) {
    const bool waits = tree.nodes[i].step->logical.op == OperatorKind::kWait;
    if (waits && tree.steps[i].critical) seconds += tree.steps[i].task_s.high;
  }
  return seconds;
}

// The range of all calls' work carries over to the time of the run.
Estimate with_range(const RunTime& time, const CostTree& tree) {
  const std::vector<StepEstimate>& steps = tree.steps;
  Estimate busy = Estimate::exact(0);
  for (const StepEstimate& step : steps) busy = busy + step.busy_s;
  const double middle = time.middle_s();
  Estimate seconds{middle, time.least_s, time.listed_s, source_of(steps)};
  if (busy.middle > 0) {
    const double waited = std::min(waited_s(tree), time.least_s);
    seconds.low = waited + (seconds.low - waited) * std::min(1.0, busy.low / busy.middle);
    seconds.high = waited + (seconds.high - waited) * std::max(1.0, busy.high / busy.middle);
  }
  return seconds;
}

}  // namespace

const StepEstimate* PlanEstimate::find(std::string_view id) const {
  if (by_id.size() != steps.size()) {
    const auto found = std::ranges::find(steps, id, &StepEstimate::id);
    return found == steps.end() ? nullptr : &*found;
  }
  const auto named = [this](std::uint32_t at) -> std::string_view { return steps[at].id; };
  const auto found = std::ranges::lower_bound(by_id, id, {}, named);
  return found == by_id.end() || named(*found) != id ? nullptr : &steps[*found];
}

PlanEstimate estimate_plan(const PhysicalPlan& plan, const CostInputs& inputs, double rows) {
  CostTree tree = unfold_costs(plan, inputs, rows);
  const RunTime time = time_of_run(tree);
  PlanEstimate made;
  for (Estimate* sum : {&made.usd, &made.prompt_tokens, &made.completion_tokens, &made.calls}) {
    *sum = Estimate::exact(0);
  }
  for (std::size_t i = 0; i < tree.steps.size(); ++i) {
    const StepEstimate& step = tree.steps[i];
    made.usd = made.usd + step.usd;
    // What runs a plan calls nothing itself.
    if (tree.nodes[i].resource != kNoIndex) made.calls = made.calls + step.calls;
    if (step.prompt_tokens.high > 0) {
      made.prompt_tokens = made.prompt_tokens + total_of(step.calls, step.prompt_tokens);
      made.completion_tokens =
          made.completion_tokens + total_of(step.calls, step.completion_tokens);
    }
  }
  made.seconds = with_range(time, tree);
  made.seconds.source = std::max(made.seconds.source, source_of_waits(tree));
  made.steps = std::move(tree.steps);
  made.by_id.resize(made.steps.size());
  std::iota(made.by_id.begin(), made.by_id.end(), 0U);
  std::ranges::sort(made.by_id, {},
                    [&made](std::uint32_t at) -> const std::string& { return made.steps[at].id; });
  return made;
}

std::vector<Value> params_of_runs(const PhysicalPlan& plan, std::uint32_t step,
                                  const CostInputs& inputs) {
  KnownValues known(plan, inputs.params, &inputs.drawn);
  known.use_runs(inputs.run_params);
  return known.sub_runs(step);
}

const CostDefaults& cost_defaults() {
  static const CostDefaults defaults;
  return defaults;
}

}  // namespace sluice
