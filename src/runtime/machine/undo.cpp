// Undoing: a run whose plan says so and that failed or was cancelled undoes its finished calls, one
// by one, the one that finished last first. Undoing is a call like any other: it may be tried
// again, and it may end in doubt.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/failpoint.h"
#include "runtime/machine/machine.h"

namespace sluice {

namespace {
constexpr std::uint16_t kMostAttempts = 10'000;  // CallRef has 16 bits for them
}  // namespace

// Remembers a call that may have to be undone. What came from a cache was never called.
void RunMachine::note_finished(const Frame& frame, const Task& task, const CallRef& call,
                               const CallReturned& returned) {
  const PhysicalStep& step = frame.plan->steps[task.ref.step];
  if (!root_plan_->undo || !step.has_undo || returned.cached) return;
  // Of a model's task it is the tools' calls that can be undone.
  if (step.logical.op == OperatorKind::kLlm && call.call == 0) return;
  Finished finished;
  finished.call = call;
  finished.task_id = call_name(task, call.call);
  finished.args = task.args;
  finished.output = returned.output;
  if (call.call > 0 && task.agent) finished.wanted = task.agent->calls[call.call - 1u];
  finished.step = &step;
  finished.plan = frame.plan;
  finished.admission = frame.admission;
  finished.started_ns = task.started_ns;
  finished_.push_back(std::move(finished));
}

// Whether a call in doubt may turn out to have happened, and would have to be undone first.
bool RunMachine::doubt_delays_undo() const {
  return root_plan_->undo && std::any_of(doubts_.begin(), doubts_.end(), [](const auto& doubt) {
           return doubt.second.step->has_undo;
         });
}

void RunMachine::undo_next() {
  if (finished_.empty()) return end_run(undoing_.status, std::move(undoing_.result));
  if (failpoint(Failpoint::kUndoInStartOrder)) {
    std::sort(finished_.begin(), finished_.end(), [](const Finished& a, const Finished& b) {
      return std::pair(a.started_ns, a.call) < std::pair(b.started_ns, b.call);
    });
  }
  undoing_.attempt = 0;
  start_undo();
}

CallRef RunMachine::undo_ref() const {
  CallRef call = finished_.back().call;
  call.call = static_cast<std::uint16_t>(call.call | kUndoCall);
  call.attempt += std::uint32_t{undoing_.attempt} << kUndoAttemptBit;
  return call;
}

void RunMachine::start_undo() {
  const Finished& last = finished_.back();
  StartCall start;
  start.call = undo_ref();
  start.step = last.step;
  start.args = last.args;
  start.wanted = last.wanted;
  start.task_id = last.task_id;
  start.idempotency_key = call_key(last.task_id) + kUndoKeyEnd;
  start.timeout_ms = last.step->logical.timeout_ms.value_or(0);
  start.undo = true;
  start.undone = last.output;
  undoing_.calling = true;
  ++running_calls_;
  trace_undo(TraceKind::kCallStarted, start.call, Usage{}, nullptr);
  emit(std::move(start));
}

void RunMachine::undo_call_ended(const CallEnded& ended) {
  if (!undoing_.active || !undoing_.calling || ended.call != undo_ref()) return;
  const auto* returned = std::get_if<CallReturned>(&ended.outcome);
  const auto* failed = std::get_if<CallFailed>(&ended.outcome);
  const bool doubted = doubts_.contains(ended.call);
  if (failed && failed->doubt) {
    if (doubted) return;
    const Finished& last = finished_.back();
    trace_undo(TraceKind::kCallEnded, ended.call, ended.usage, &failed->error);
    OpenDoubt doubt{last.task_id, failed->error, last.step, last.plan};
    trace_doubt(TraceKind::kTaskInDoubt, ended.call, doubt, &failed->error, Usage{});
    doubts_.emplace(ended.call, std::move(doubt));
    doubt_told_ = false;
    return;
  }
  const Error* error = failed ? &failed->error : nullptr;
  if (doubted) {
    end_doubt(ended.call, error, ended.usage);
  } else {
    trace_undo(TraceKind::kCallEnded, ended.call, ended.usage, error);
  }
  undoing_.calling = false;
  --running_calls_;
  frames_.at(0)->used += ended.usage;
  if (failed && retry_undo(failed->error)) return;
  if (failed) {
    errors_.push_back(Error(ErrorCode::kUndoFailed,
                            fmt::format("step {} could not be undone", finished_.back().task_id),
                            finished_.back().step->logical.pos)
                          .with_cause(failed->error));
  }
  // `cached`: this tool of a model has nothing that undoes it.
  if (failed || !returned || !returned->cached) {
    trace_undo(TraceKind::kTaskUndone, ended.call, Usage{}, error);
  }
  finished_.pop_back();
  undo_next();
}

// As the step's own `retry` says; without one it is tried once.
bool RunMachine::retry_undo(const Error& error) {
  const std::optional<RetryRule>& rule = finished_.back().step->logical.retry;
  const std::uint32_t attempt = undoing_.attempt + 1u;
  if (!rule || attempt >= std::min<std::uint32_t>(rule->attempts, kMostAttempts)) return false;
  if (!retry_covers(*rule, error)) return false;
  const CallRef call = undo_ref();
  const double delay_ms = retry_delay_ms(*rule, error, attempt, call);
  undoing_.timer = set_timer(call, TimerUse::kUndo, static_cast<std::int64_t>(delay_ms * kNsPerMs));
  ++undoing_.attempt;
  return true;
}

void RunMachine::trace_undo(TraceKind kind, const CallRef& call, const Usage& usage,
                            const Error* error) {
  if (!trace_) return;
  TraceEvent event;
  event.at = now_;
  event.kind = kind;
  event.call = call;
  event.step = finished_.back().step;
  event.plan = finished_.back().plan.get();
  event.usage = usage;
  event.error = error;
  trace_->on_trace(event);
}

}  // namespace sluice
