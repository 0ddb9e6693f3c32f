#include "cli/batch/batch_watcher.h"

#include <fmt/format.h>

#include <algorithm>

#include "host/history/quality.h"
#include "host/runs/batch_plan.h"
#include "runtime/summary.h"

namespace sluice::cli {
namespace {

bool is_step(const TraceEvent& event, std::string_view id) {
  return event.step->logical_ids.front() == id;
}

// The frame in which the user's plan runs for a row: its first attempt, as a row has no more.
std::uint64_t frame_of_row(const TraceEvent& row_event) {
  CallRef call;
  call.task = row_event.call.task;
  return frame_id(call);
}

const Value* row_error(const TraceEvent& event) {
  if (event.value == nullptr || !event.value->is_object()) return nullptr;
  const Value* error = event.value->find(kRowErrorKey);
  return event.value->members().size() == 1 ? error : nullptr;
}

}  // namespace

void BatchWatcher::on_trace(const TraceEvent& event) {
  inner_.on_trace(event);
  budget_.on_trace(event);
  if (event.step == nullptr) return;
  if (event.call.task.frame == 0) {
    root_event(event);
  } else {
    inner_event(event);
  }
}

// What passes do to the sample hangs on estimates, and so on how many rows there are: they may find
// more to change in all rows.
void BatchWatcher::on_optimized(const OptimizedPlan& plan) {
  const auto changes = approximate_changes(plan.notes);
  if (stops_.measured && !std::ranges::includes(*stops_.measured, changes)) {
    stop_ = Stop::kUnmeasured;
    return;
  }
  budget_.expect(plan.after);
  inner_.on_optimized(plan);
}

bool BatchWatcher::lets_call(const StartCall& start) {
  if (budget_.lets(start)) return true;
  if (!stop_) stop_ = Stop::kBudget;
  return false;
}

void BatchWatcher::on_tick(const RunSummary& so_far, const EngineStats& engines, SteadyNs now) {
  if (!stop_ && budget_.time_is_over(now)) stop_ = Stop::kBudget;
  inner_.on_tick(so_far, engines, now);
}

void BatchWatcher::restored(std::string_view folded) {
  inner_.restored(folded);
  budget_.restored(folded);
  SummaryFold fold;
  fold.restored(folded);
  for (const StepSummary& step : fold.summary().steps) {
    if (step.id == kBatchRowStep) rows_through_ = step.done;
    if (step.id != kBatchPutStep) continue;
    rows_done_ = step.done;
    break;  // the plan's own come first
  }
}

void BatchWatcher::root_event(const TraceEvent& event) {
  if (event.kind != TraceKind::kTaskDone || event.call.task.item == kNoIndex) return;
  if (is_step(event, kBatchRowStep)) row_ended(event);
  if (is_step(event, kBatchPutStep)) row_kept(event);
}

void BatchWatcher::row_ended(const TraceEvent& event) {
  ++rows_through_;
  const Value* error = row_error(event);
  if (error != nullptr) {
    ++rows_failed_;
    if (first_error_.empty() && error->is_string()) {
      first_error_ = fmt::format("row {}: {}", event.call.task.item + 1, error->as_string());
    }
  }
  if (stops_.sample == 0) return;
  auto cost = costs_.extract(frame_of_row(event));
  sample_.rows.push_back(cost.empty() ? RowCost{} : cost.mapped());
  if (first_ns_ != 0) {
    sample_.seconds = static_cast<double>(event.at - first_ns_) / static_cast<double>(kNsPerSecond);
  }
}

void BatchWatcher::row_kept(const TraceEvent&) {
  ++rows_done_;
  if (stops_.sample == 0 || rows_done_ < stops_.sample || stop_) return;
  stop_ = rows_failed_ >= rows_done_ ? Stop::kAllFailed : Stop::kSample;
}

void BatchWatcher::inner_event(const TraceEvent& event) {
  if (event.kind == TraceKind::kCallStarted) {
    if (first_ns_ == 0) first_ns_ = event.at;
    if (stops_.sample > 0) begun_[call_hash(event.call)] = event.at;
  }
  if (event.kind != TraceKind::kCallEnded || stops_.sample == 0) return;
  const auto tokens = static_cast<double>(event.usage.tokens());
  sample_.tokens += tokens;
  sample_.usd += event.usage.usd;
  RowCost& cost = costs_[event.call.task.frame];
  cost.tokens += tokens;
  cost.usd += event.usage.usd;
  if (auto begun = begun_.extract(call_hash(event.call)); !begun.empty()) {
    cost.busy_s +=
        static_cast<double>(event.at - begun.mapped()) / static_cast<double>(kNsPerSecond);
  }
}

}  // namespace sluice::cli
