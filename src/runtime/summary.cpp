#include "runtime/summary.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

namespace sluice {

// Steps are told apart by their physical step: all frames of one sub-plan fold into the same rows.
struct SummaryFold::Impl {
  RunSummary summary;
  std::unordered_map<const PhysicalStep*, std::size_t> rows;
  // Per frame and step: how many items it has told of so far, to add up what is known.
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint64_t> told_items;

  using RowOrder = std::pair<std::uint32_t, std::uint32_t>;  // frame of first sight, step
  std::vector<RowOrder> orders;                              // of summary.steps

  // Rows stand in plan order, those of a sub-plan behind the plan that first called it.
  StepSummary& row(const TraceEvent& event) {
    auto found = rows.find(event.step);
    if (found != rows.end()) return summary.steps[found->second];
    RowOrder order{event.call.task.frame, event.call.task.step};
    auto place = std::upper_bound(orders.begin(), orders.end(), order) - orders.begin();
    StepSummary step;
    step.id = event.step->logical_ids.front();
    step.operator_name = std::string(operator_name(event.step->logical.op));
    if (place != static_cast<std::ptrdiff_t>(orders.size())) {
      for (auto& [known, at] : rows) at += at >= static_cast<std::size_t>(place) ? 1 : 0;
    }
    rows.emplace(event.step, static_cast<std::size_t>(place));
    orders.insert(orders.begin() + place, order);
    return *summary.steps.insert(summary.steps.begin() + place, std::move(step));
  }

  // Adds what is new; only frames that will hear more are remembered.
  void items_known(const TraceEvent& event, StepSummary& step) {
    auto key = std::pair(event.call.task.frame, event.call.task.step);
    auto told = told_items.find(key);
    std::uint64_t before = told == told_items.end() ? 0 : told->second;
    step.known += event.count - std::min(before, event.count);
    step.closed = event.closed;
    if (!event.closed) {
      told_items.insert_or_assign(key, event.count);
    } else if (told != told_items.end()) {
      told_items.erase(told);
    }
  }

  void call_ended(const TraceEvent& event, StepSummary& step) {
    step.usage += event.usage;
    summary.usage += event.usage;
    if (step.running > 0) --step.running;
    if (event.cached) ++step.cached;
    auto begun = starts.find(key_of(event.call));
    if (begun == starts.end()) return;
    step.busy_ns += event.at - begun->second;
    starts.erase(begun);
  }

  using CallKey = std::tuple<TaskRef, std::uint16_t, std::uint16_t>;
  static CallKey key_of(const CallRef& call) { return {call.task, call.turn, call.call}; }
  std::map<CallKey, SteadyNs> starts;  // calls under way only
};

SummaryFold::SummaryFold() : impl_(std::make_unique<Impl>()) {}
SummaryFold::~SummaryFold() = default;
const RunSummary& SummaryFold::summary() const { return impl_->summary; }

void SummaryFold::on_trace(const TraceEvent& event) {
  RunSummary& summary = impl_->summary;
  summary.end_ns = event.at;
  if (event.kind == TraceKind::kRunStarted) summary.start_ns = event.at;
  if (event.kind == TraceKind::kRunEnded && event.outcome) {
    summary.critical_path = event.outcome->critical_path;
  }
  if (!event.step) return;
  StepSummary& step = impl_->row(event);
  if (step.first_ns == 0) step.first_ns = event.at;
  step.last_ns = event.at;
  bool whole = event.call.task.item == kNoIndex;
  switch (event.kind) {
    case TraceKind::kItemsKnown:
      return impl_->items_known(event, step);
    case TraceKind::kItemEmitted:
      ++step.known;
      ++step.done;
      return;
    case TraceKind::kCallStarted:
      ++step.calls;
      ++step.running;
      impl_->starts.insert_or_assign(Impl::key_of(event.call), event.at);
      return;
    case TraceKind::kCallEnded:
      return impl_->call_ended(event, step);
    case TraceKind::kRetryScheduled:
      ++step.retries;
      return;
    case TraceKind::kTaskDone:
      ++step.done;
      return;
    case TraceKind::kTaskSkipped:
      if (whole) step.closed = true;
      ++step.skipped;
      return;
    case TraceKind::kTaskFailed:
      if (whole) step.closed = true;
      ++step.failed;
      return;
    case TraceKind::kTaskInDoubt:
      ++step.in_doubt;
      return;
    default:
      return;
  }
}

}  // namespace sluice
