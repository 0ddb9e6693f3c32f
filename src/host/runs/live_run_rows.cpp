// What a live run does for the rows of a batch: their form, and what all of them will cost.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "host/runs/batch_plan.h"
#include "host/runs/live_run.h"

namespace sluice {
namespace {

// What the run was given, as its state has it.
Value params_of_run(const Plan& plan, const RunState& state) {
  std::vector<Value::Member> members;
  for (const ParamSpec& param : plan.params) {
    if (!state.alive(0)) break;
    StepInput input;
    input.param = param.id;
    members.emplace_back(param.id, state.result_input(0, input));
  }
  return Value::object(std::move(members));
}

}  // namespace

// A fork takes over what the other run did, step by step: its plan stays.
void LiveRun::adapt_rows_of(const PhysicalPlanPtr& plan, PlanEstimate expected) {
  const bool fork =
      taken_ != nullptr ? !taken_->header.forked_from.empty() : request_->forked.has_value();
  const OptimizerSettings settings = optimizer();
  const auto step = AdaptiveRows::rows_step(*plan);
  if (!batch() || fork || settings.off || settings.without.contains(kAdaptName) || !step) return;
  adaptive_ = std::make_unique<AdaptiveRows>(plan, *step, std::move(expected));
}

void LiveRun::take_earlier_forms() {
  if (adaptive_ == nullptr) return;
  for (const StepReplanned& form : loop_->state().replanned()) adaptive_->take_form(form.plan);
}

// What the rows have shown may ask for another order of their work.
void LiveRun::look_at_rows() {
  look_posted_ = false;
  if (stopping_ || stop_asked_ || interrupts_ > 0 || !loop_ || loop_->state().ended()) return;
  const PlanScope& scope = *resources_.scope(plan().get());
  const Value params = params_of_run(*plan(), loop_->state());
  const StatisticsTable sample = statistics_.seen();
  CostInputs cost = cost_inputs(scope, &params);
  cost.sample = &sample;
  auto found = adaptive_->look(
      {.plan = plan(), .tools = scope, .params = &params, .cost = cost, .settings = optimizer()});
  if (found) loop_->replan(found->step, std::move(found->plan), std::move(found->why));
}

// The run stops for its sample: what will all rows cost?
void LiveRun::forecast() {
  if (!batch() || settings_.hold_rows_after == 0 || !loop_) return;
  const PlanScope& scope = *resources_.scope(plan().get());
  const Value params = params_of_run(*plan(), loop_->state());
  const StatisticsTable sample = statistics_.seen();
  CostInputs cost = cost_inputs(scope, &params);
  cost.sample = &sample;
  const PhysicalPlanPtr now = adaptive_ != nullptr ? adaptive_->plan() : running_;
  SampleForecast made;
  made.all = estimate_plan(*now, cost);
  cost.items[std::string(kBatchReadStep)] = static_cast<double>(settings_.hold_rows_after);
  made.sample = estimate_plan(*now, cost);
  report_.forecast = std::move(made);
}

}  // namespace sluice
