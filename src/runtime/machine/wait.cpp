// The `wait` operator: a task that waits for a time or a signal. It calls nothing, so it holds no
// place of the run and costs no budget. Signals that come before anybody waits are kept.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/failpoint.h"
#include "data/schema.h"
#include "runtime/machine/machine.h"

namespace sluice {

// A wait needs no place of the run; the step's own concurrency holds.
void RunMachine::ready_to_wait(Frame& frame, Task& task) {
  set_task_status(frame, task.ref.step, task.ref.item, SlotStatus::kActive);
  if (may_start(ready_key(frame, task))) begin_wait(frame, task);
}

void RunMachine::begin_wait(Frame& frame, Task& task) {
  task.started_ns = now_;
  task.wait = std::make_unique<WaitState>();
  task.wait->task_id = call_name(task);
  BeginWait begin;
  begin.call = call_ref(task);
  begin.step = &frame.plan->steps[task.ref.step];
  begin.task_id = task.wait->task_id;
  begin.spec = task.args;
  waits_.insert(begin.call);
  emit(std::move(begin));
}

void RunMachine::on_wait_began(const WaitBegan& began) {
  Frame* frame = find_frame(began.call.task.frame);
  Task* task = find_task(began.call.task);
  if (!frame || !task || frame->dead || !task->wait || task->wait->begun) return;
  if (began.call != call_ref(*task)) return;
  if (began.error) {
    wait_over(*frame, *task);
    return apply_on_error(*frame, *task, *began.error);
  }
  WaitState& wait = *task->wait;
  wait.begun = true;
  wait.since_ns = now_;
  wait.wait = began;
  if (trace_) {
    TraceEvent event;
    event.at = now_;
    event.kind = TraceKind::kWaiting;
    event.call = began.call;
    event.set_step(*frame->plan, task->ref.step);
    event.wait = &wait.wait;
    trace_->on_trace(event);
  }
  if (!began.signal.empty()) {
    if (take_kept_signal(*frame, *task)) return;
    wait.order = ++next_wait_;
    SignalWaits& waits = signals_[began.signal];
    waits.waiting.emplace(wait.order, task->ref);
    waits.by_task.insert_or_assign(wait.task_id, wait.order);
  }
  if (began.until_wall_ns != 0) {
    task->timer = set_timer(began.call, TimerUse::kWait, 0, began.until_wall_ns);
  }
}

// The first of the kept signals that is for this task or for anyone.
bool RunMachine::take_kept_signal(Frame& frame, Task& task) {
  auto found = signals_.find(task.wait->wait.signal);
  if (found == signals_.end()) return false;
  std::deque<SignalReceived>& kept = found->second.kept;
  for (auto at = kept.begin(); at != kept.end();) {
    if (!at->task.empty() && at->task != task.wait->task_id) {
      ++at;
      continue;
    }
    SignalReceived signal = std::move(*at);
    at = kept.erase(at);
    if (!signal_fits(frame, task, signal)) continue;
    give_signal(frame, task, signal);
    return true;
  }
  return false;
}

void RunMachine::on_signal(const SignalReceived& signal) {
  if (cancelled_ || undoing_.active) return;
  SignalWaits& waits = signals_[signal.name];
  auto taker = waits.waiting.begin();
  if (!signal.task.empty()) {
    auto named = waits.by_task.find(signal.task);
    taker = named == waits.by_task.end() ? waits.waiting.end() : waits.waiting.find(named->second);
  }
  if (taker == waits.waiting.end()) {
    waits.kept.push_back(signal);
    return;
  }
  const TaskRef ref = taker->second;
  Frame* frame = find_frame(ref.frame);
  Task* task = find_task(ref);
  if (!frame || !task || !signal_fits(*frame, *task, signal)) return;
  if (failpoint(Failpoint::kSignalTakenTwice)) waits.kept.push_back(signal);
  give_signal(*frame, *task, signal);
}

// A value that the step's schema refuses is told and dropped.
bool RunMachine::signal_fits(Frame& frame, Task& task, const SignalReceived& signal) {
  const PhysicalStep& step = frame.plan->steps[task.ref.step];
  std::optional<Error> misfit;
  if (step.logical.output) {
    const std::vector<SchemaViolation> violations = step.logical.output->validate(signal.value);
    if (!violations.empty()) {
      misfit.emplace(
          ErrorCode::kSignalInvalid,
          fmt::format("the signal {} does not fit: {}", signal.name, describe(violations)),
          step.logical.output_pos);
    }
  }
  if (trace_) {
    TraceEvent event;
    event.at = now_;
    event.kind = TraceKind::kSignal;
    event.call = call_ref(task);
    event.set_step(*frame.plan, task.ref.step);
    event.count = signal.message;
    event.value = &signal.value;
    event.error = misfit ? &*misfit : nullptr;
    trace_->on_trace(event);
  }
  return !misfit;
}

void RunMachine::give_signal(Frame& frame, Task& task, const SignalReceived& signal) {
  const bool wrong = failpoint(Failpoint::kSignalValueLost) && task.wait->wait.has_value;
  Value value = wrong ? task.wait->wait.value : signal.value;
  wait_over(frame, task);
  task_succeeded(frame, task, std::move(value));
}

// Its time has come: it ends with its value; without one it has waited in vain.
void RunMachine::wait_timed_out(Frame& frame, Task& task) {
  const PhysicalStep& step = frame.plan->steps[task.ref.step];
  WaitBegan wait = std::move(task.wait->wait);
  task.wait->wait.signal = wait.signal;  // by which it is found
  wait_over(frame, task);
  if (!wait.has_value && !wait.signal.empty()) {
    return apply_on_error(
        frame, task,
        Error(ErrorCode::kTimeout, fmt::format("nobody sent the signal {} in time", wait.signal),
              step.logical.pos));
  }
  if (step.logical.output) {
    const std::vector<SchemaViolation> violations = step.logical.output->validate(wait.value);
    if (!violations.empty()) {
      return apply_on_error(
          frame, task,
          Error(ErrorCode::kOutputInvalid,
                fmt::format("the output does not fit its schema: {}", describe(violations)),
                step.logical.output_pos));
    }
  }
  task_succeeded(frame, task, std::move(wait.value));
}

// However it ended: nobody looks for it any more.
void RunMachine::wait_over(Frame& frame, Task& task) {
  forget_wait(task);
  clear_timer(task);
  release_slot(frame, task);
  task.path =
      std::make_shared<PathNode>(task_id(task.ref), task.started_ns, now_, std::move(task.path));
  task.started_ns = now_;
}

void RunMachine::forget_wait(Task& task) {
  if (!task.wait) return;
  waits_.erase(call_ref(task));
  auto found = signals_.find(task.wait->wait.signal);
  if (task.wait->begun && found != signals_.end()) {
    SignalWaits& waits = found->second;
    if (waits.waiting.erase(task.wait->order) > 0) waits.by_task.erase(task.wait->task_id);
    if (waits.waiting.empty() && waits.kept.empty()) signals_.erase(found);
  }
  task.wait.reset();
}

std::vector<RunState::Waiting> RunMachine::waits() const {
  std::vector<RunState::Waiting> all;
  for (const CallRef& call : waits_) {
    const Frame& frame = *frames_.at(call.task.frame);
    const Task& task = *frame.steps[call.task.step].tasks.at(call.task.item);
    if (!task.wait->begun) continue;
    all.push_back({call, task.wait->task_id, task.wait->wait, task.wait->since_ns,
                   &frame.plan->steps[call.task.step]});
  }
  std::sort(all.begin(), all.end(), [](const RunState::Waiting& a, const RunState::Waiting& b) {
    return a.since_ns != b.since_ns ? a.since_ns < b.since_ns : a.call < b.call;
  });
  return all;
}

}  // namespace sluice
