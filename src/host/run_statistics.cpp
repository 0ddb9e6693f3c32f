#include "host/run_statistics.h"

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
      if (own_call(event.call)) open_calls_.begin(event.call, event.at);
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
    call_ended(event, row);
  } else {
    task_ended(event, row);
  }
}

void RunStatistics::call_ended(const TraceEvent& event, Row& row) {
  StepStatistics& seen = row.seen;
  const std::optional<SteadyNs> began = open_calls_.end(event.call);
  if (event.cached) {
    ++seen.cached;
    // Kept results of other runs are only asked for where the step says so.
    if (event.step->advice.share_equal && !event.step->logical.cache_ttl_ms) ++seen.equal_calls;
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
  const auto place = reinterpret_cast<std::uintptr_t>(&plan) / 64 % seen_.size();
  Seen& seen = seen_[place];
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
    }
    found = plans_.emplace(plan.plan_hash, std::move(made)).first;
  }
  seen = {&plan, found->second.get()};
  return seen.rows;
}

StatisticsTable RunStatistics::take() {
  StatisticsTable table;
  for (const auto& [hash, plan] : plans_) {
    for (std::size_t i = 0; i < plan->rows.size(); ++i) {
      Row row = std::exchange(plan->rows[i], {});
      const QuantileSketch items = std::exchange(row.seen.items, {});
      if (items.count() > 0) table[plan->items[i]].items.merge(items);
      const bool counted = row.seen.tasks + row.seen.calls + row.seen.cached > 0;
      if (counted) table[plan->steps[i]].merge(row.seen);
      if (row.evaluated == 0 || plan->conditions[i].zero()) continue;
      StepStatistics& condition = table[plan->conditions[i]];
      condition.conditions += row.evaluated;
      condition.held += row.held;
    }
  }
  return table;
}

}  // namespace sluice
