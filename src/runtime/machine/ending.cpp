// The end of the run: when nothing is under way any more, and what is told then.

#include <fmt/format.h>

#include <algorithm>

#include "runtime/machine/machine.h"

namespace sluice {

namespace {

Error doubt_error(const std::string& task_id, const Error& error, const PhysicalStep& step) {
  Error doubt(ErrorCode::kInDoubt, fmt::format("step {} may or may not have happened", task_id),
              step.logical.pos);
  // The code says it already; what comes below is why.
  const Error* why = error.code() == ErrorCode::kInDoubt ? error.cause() : &error;
  return why ? doubt.with_cause(*why) : doubt;
}

}  // namespace

// What is told when the run stops now. Calls in doubt are among the errors.
RunOutcome RunMachine::outcome(RunStatus status) const {
  constexpr std::size_t kDoubtsTold = 20;
  RunOutcome outcome;
  outcome.status = status;
  outcome.errors = errors_;
  outcome.failed_tasks = failed_tasks_;
  std::size_t told = 0;
  for (const auto& [call, doubt] : doubts_) {
    if (++told > kDoubtsTold) break;
    outcome.errors.push_back(doubt_error(doubt.task_id, doubt.error, *doubt.step));
  }
  auto root = frames_.find(0);
  if (root == frames_.end()) return outcome;
  for (PathPtr node = root->second->last_path; node; node = node->previous) {
    outcome.critical_path.push_back({node->task_id, node->start_ns, node->end_ns});
  }
  std::reverse(outcome.critical_path.begin(), outcome.critical_path.end());
  return outcome;
}

// All has ended but what undoes it.
void RunMachine::finish_run(RunStatus status, Value result) {
  if (ended_ || undoing_.active) return;
  if (status == RunStatus::kSucceeded || finished_.empty()) {
    return end_run(status, std::move(result));
  }
  undoing_.active = true;
  undoing_.status = status;
  undoing_.result = std::move(result);
  undo_next();
}

void RunMachine::end_run(RunStatus status, Value result) {
  if (ended_) return;
  ended_ = true;
  RunOutcome told = outcome(status);
  told.result = std::move(result);
  tell_end(std::move(told));
}

void RunMachine::tell_end(RunOutcome outcome) {
  if (trace_) {
    TraceEvent event;
    event.at = now_;
    event.kind = TraceKind::kRunEnded;
    event.value = &outcome.result;
    event.outcome = &outcome;
    trace_->on_trace(event);
  }
  emit(EndRun{std::move(outcome)});
}

// Nothing but doubt is left. Told again only when something has happened since.
void RunMachine::tell_doubt() {
  if (doubt_told_) return;
  doubt_told_ = true;
  tell_end(outcome(RunStatus::kInDoubt));
}

// Whether every timer is the time limit of a sub-plan: none of them starts anything.
bool RunMachine::only_limits_tick() const {
  return std::all_of(timers_.begin(), timers_.end(),
                     [](const auto& timer) { return timer.second.use == TimerUse::kLimit; });
}

// Streams wait for their consumers' windows, and the consumers for a place that a stream holds:
// then the window gives way.
void RunMachine::open_windows() {
  if (running_calls_ - doubts_.size() != paused_streams_.size()) return;
  if (!waits_.empty() || !only_limits_tick()) return;
  while (!paused_streams_.empty()) {
    auto [frame, step] = *paused_streams_.begin();
    resume_stream(*find_frame(frame), step);
  }
}

// Ends a run in which nothing is under way and nothing can start.
void RunMachine::maybe_end_idle() {
  if (ended_ || frames_.empty() || pending_binds_ > 0) return;
  const bool only_doubt = running_calls_ == doubts_.size() && pending_admits_.empty();
  if (!only_doubt) {
    doubt_told_ = false;
    if (running_calls_ > doubts_.size()) open_windows();
    return;
  }
  if (undoing_.active) {
    if (undoing_.calling) return tell_doubt();
    return;  // until its next attempt
  }
  if (cancelled_) {
    if (doubt_delays_undo()) return tell_doubt();
    return finish_run(RunStatus::kCancelled, Value());
  }
  if (!waits_.empty() || !ready_.empty() || !only_limits_tick()) {
    doubt_told_ = false;
    return;
  }
  if (!doubts_.empty()) return tell_doubt();
  if (!timers_.empty()) return;
  errors_.push_back(Error(ErrorCode::kInternal, "nothing is under way and nothing can start"));
  finish_run(RunStatus::kFailed, Value());
}

}  // namespace sluice
