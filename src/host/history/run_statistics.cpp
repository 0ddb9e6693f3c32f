#include "host/history/run_statistics.h"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

// What failed for a reason of its own, and not because of what it read or because the run ended.
bool own_failure(const Error* error) {
  if (error == nullptr) return true;
  switch (error->code()) {
    case ErrorCode::kInputFailed:
    case ErrorCode::kCancelled:
    case ErrorCode::kInterrupted:
    case ErrorCode::kBudgetSpent:
      return false;
    default:
      return true;
  }
}

// The step's own call, not one of its model's tools and not one that undoes something.
bool own_call(const CallRef& call) { return call.call == 0; }

}  // namespace

void RunStatistics::on_trace(const TraceEvent& event) {
  if (event.kind == TraceKind::kRecoveryBegan) recovering_ = true;
  if (event.kind == TraceKind::kRecovered) recovering_ = false;
  if (recovering_ || event.step == nullptr) return;
  const PhysicalStep& step = *event.step;
  const bool idle = step.logical.op == OperatorKind::kValue && !step.when && !step.mapped;
  if (idle || step.logical.op == OperatorKind::kWait) return;
  switch (event.kind) {
    case TraceKind::kItemsKnown:
      if (!event.closed || (!step.mapped && !step.streams)) return;
      break;
    case TraceKind::kCallStarted:
      if (own_call(event.call)) call_started(event);
      return;
    case TraceKind::kCallEnded:
      if (!own_call(event.call)) return;
      break;
    case TraceKind::kTaskDone:
    case TraceKind::kTaskSkipped:
    case TraceKind::kTaskFailed:
      // A million values that nothing filters tell nothing.
      if (step.logical.op == OperatorKind::kValue && !step.when) return;
      if (event.call.task.item == kNoIndex) return;  // a step that never got tasks
      break;
    default:
      return;
  }
  PlanRows* plan = rows_of(*event.plan);
  if (plan == nullptr || event.call.task.step >= plan->rows.size()) return;
  Row& row = plan->rows[event.call.task.step];
  if (event.kind == TraceKind::kItemsKnown) {
    row.seen.items.add(static_cast<double>(event.count));
  } else if (event.kind == TraceKind::kCallEnded) {
    call_ended(event, *plan, row);
  } else {
    task_ended(event, row);
  }
}

void RunStatistics::Load::advance(SteadyNs now) {
  if (now > at) call_ns += static_cast<std::int64_t>(open) * (now - at);
  at = std::max(at, now);
}

void RunStatistics::call_started(const TraceEvent& event) {
  open_calls_.begin(event.call, event.at);
  PlanRows* plan = rows_of(*event.plan);
  if (plan == nullptr || event.call.task.step >= plan->loads.size()) return;
  Load* load = plan->loads[event.call.task.step];
  if (load == nullptr) return;
  load->advance(event.at);
  ++load->open;
  open_loads_.begin(event.call, load->call_ns);
}

void RunStatistics::load_ended(const TraceEvent& event, Load& load, Row& row,
                               std::optional<SteadyNs> began) {
  const std::optional<SteadyNs> call_ns = open_loads_.end(event.call);
  if (!call_ns) return;
  load.advance(event.at);
  if (load.open > 0) --load.open;
  // What broke off, or was answered without asking, took no time of its own.
  if (event.cached || event.error != nullptr || !began || event.at <= *began) return;
  const auto taken = static_cast<double>(event.at - *began);
  row.levels.add(static_cast<double>(load.call_ns - *call_ns) / taken, taken / kNsPerSecond);
}

void RunStatistics::call_ended(const TraceEvent& event, PlanRows& plan, Row& row) {
  StepStatistics& seen = row.seen;
  const std::optional<SteadyNs> began = open_calls_.end(event.call);
  if (Load* load = plan.loads[event.call.task.step]) load_ended(event, *load, row, began);
  if (event.cached) {
    ++seen.cached;
    if (event.from == CallReturned::From::kEqual) ++seen.equal_calls;
    return;
  }
  ++seen.calls;
  seen.usd += event.usage.usd;
  if (event.error != nullptr) return;  // a call that broke off took no time of its own
  if (began && event.at >= *began) {
    seen.seconds.add(static_cast<double>(event.at - *began) / kNsPerSecond);
  }
  if (event.usage.tokens() == 0) return;
  seen.prompt_tokens.add(static_cast<double>(event.usage.prompt_tokens));
  seen.completion_tokens.add(static_cast<double>(event.usage.completion_tokens));
  seen.shared_tokens += event.usage.cached_tokens;
}

void RunStatistics::task_ended(const TraceEvent& event, Row& row) {
  if (event.condition != ConditionOutcome::kNone) {
    ++row.evaluated;
    if (event.condition == ConditionOutcome::kHeld) ++row.held;
  }
  if (event.step->logical.op == OperatorKind::kValue) return;
  const bool failed = event.kind == TraceKind::kTaskFailed ||
                      (event.kind == TraceKind::kTaskSkipped && event.error != nullptr);
  if (failed && !own_failure(event.error)) return;
  if (!failed && event.kind != TraceKind::kTaskDone) return;
  ++row.seen.tasks;
  if (failed) ++row.seen.failed;
}

RunStatistics::PlanRows* RunStatistics::rows_of(const PhysicalPlan& plan) {
  const auto place = reinterpret_cast<std::uintptr_t>(&plan) / 64 % lately_.size();
  Seen& seen = lately_[place];
  if (seen.plan == &plan && seen.rows->hash == plan.plan_hash) return seen.rows;
  auto found = plans_.find(plan.plan_hash);
  if (found == plans_.end()) {
    if (plans_.size() >= kMostPlans) return nullptr;
    auto made = std::make_unique<PlanRows>();
    made->hash = plan.plan_hash;
    made->rows.resize(plan.steps.size());
    const PlanConditions conditions = conditions_of(plan);
    for (std::size_t i = 0; i < plan.steps.size(); ++i) {
      made->steps.push_back(plan.steps[i].step_hash);
      made->conditions.push_back(conditions.steps[i].together);
      const bool mapped = plan.steps[i].mapped;
      made->items.push_back(mapped ? conditions.steps[i].items : plan.steps[i].step_hash);
      const bool measured = has_call_levels(plan, plan.steps[i]);
      made->loads.push_back(measured ? &loads_[plan.steps[i].resource] : nullptr);
    }
    found = plans_.emplace(plan.plan_hash, std::move(made)).first;
  }
  seen = {&plan, found->second.get()};
  return seen.rows;
}

void RunStatistics::add(const PlanRows& plan, std::size_t step, const Row& row,
                        StatisticsTable& table) {
  StepStatistics own = row.seen;
  const QuantileSketch items = std::exchange(own.items, {});
  if (items.count() > 0) table[plan.items[step]].items.merge(items);
  const bool counted = own.tasks + own.calls + own.cached > 0;
  if (counted) table[plan.steps[step]].merge(own);
  if (row.levels.tells()) row.levels.put(plan.steps[step], table);
  if (row.evaluated == 0 || plan.conditions[step].zero()) return;
  StepStatistics& condition = table[plan.conditions[step]];
  condition.conditions += row.evaluated;
  condition.held += row.held;
}

StatisticsTable RunStatistics::take() {
  StatisticsTable table = seen();
  for (const auto& [hash, plan] : plans_) {
    for (Row& row : plan->rows) row = {};
  }
  return table;
}

StatisticsTable RunStatistics::seen() const {
  StatisticsTable table;
  for (const auto& [hash, plan] : plans_) {
    for (std::size_t i = 0; i < plan->rows.size(); ++i) add(*plan, i, plan->rows[i], table);
  }
  return table;
}

}  // namespace sluice
