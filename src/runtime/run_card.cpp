#include "runtime/run_card.h"

namespace sluice {

void CardFold::on_trace(const TraceEvent& event) {
  if (next_ != nullptr) next_->on_trace(event);
  summary_.on_trace(event);
  ++version_;
  const bool fails = event.kind == TraceKind::kTaskFailed || event.kind == TraceKind::kTaskInDoubt;
  if (fails && first_error_.empty() && event.error != nullptr) {
    first_error_ = event.error->to_string();
  }
}

void CardFold::restored(std::string_view folded) {
  if (next_ != nullptr) next_->restored(folded);
  summary_.restored(folded);
  ++version_;
}

std::uint64_t CardFold::waiting() const {
  std::uint64_t waiting = 0;
  for (const StepSummary& step : summary_.summary().steps) waiting += step.waiting;
  return waiting;
}

void CardFold::fill(RunCard& card) const {
  const RunSummary& summary = summary_.summary();
  card.tasks_done = card.tasks_failed = card.doubts = 0;
  for (const StepSummary& step : summary.steps) {
    card.tasks_done += step.done;
    card.tasks_failed += step.failed;
    card.doubts += step.in_doubt;
  }
  card.waits = waiting();
  card.tokens = summary.usage.tokens();
  card.usd = summary.usage.usd;
  card.note = first_error_;
}

}  // namespace sluice
