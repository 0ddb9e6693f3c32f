// Ends of calls: retry, repeat, on_error. From the inside out a task is
// repeat(retry(timeout(call, output check))), then on_error.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/failpoint.h"
#include "runtime/machine/machine.h"

namespace sluice {

namespace {

constexpr double kLongestRetryAfterMs = 3'600'000;

// Words of other programs may be anything.
Value text_value(const std::string& text) {
  Result<Value> value = Value::from_utf8(text);
  return value ? *value : Value::string("an error whose words are not UTF-8");
}

Value error_as_value(const Error& error) {
  return Value::object({{"code", Value::string(error.name())},
                        {"class", Value::string(error_class_name(error.klass()))},
                        {"message", text_value(error.to_string())}});
}

// It was charged when it began, and nothing was called. (Of what older journals have as cached it
// is not known how it came about: it stays charged, as it was when the run decided by it.)
bool costs_no_call(const CallReturned& returned) {
  return returned.from == CallReturned::From::kEqual ||
         returned.from == CallReturned::From::kEarlierRun;
}

}  // namespace

void RunMachine::on_call_ended(const CallEnded& ended) {
  if (ended.call.undoes()) return undo_call_ended(ended);
  Frame* frame = find_frame(ended.call.task.frame);
  Task* task = find_task(ended.call.task);
  if (!frame || !task) return;
  if (ended.call.call > 0) return tool_call_ended(*frame, *task, ended);
  // A reply to an attempt that is over (duplicated or late) changes nothing.
  if (!task->calling) return;
  if (ended.call != call_ref(*task) && !failpoint(Failpoint::kLateEndTaken)) return;
  const auto* returned = std::get_if<CallReturned>(&ended.outcome);
  const auto* failed = std::get_if<CallFailed>(&ended.outcome);
  const bool doubt = failed && failed->doubt;
  if (doubt && !failpoint(Failpoint::kDoubtTakenAsDone)) {
    return call_in_doubt(*frame, *task, ended, failed->error);
  }
  task->calling = task->in_doubt = false;
  call_over(*frame, *task, ended);
  release_slot(*frame, *task);
  paused_streams_.erase({task->ref.frame, task->ref.step});
  if (returned) note_finished(*frame, *task, ended.call, *returned);
  if (failed && failpoint(Failpoint::kUndoUnfinished)) {
    note_finished(*frame, *task, ended.call, CallReturned{});
  }
  if (frame->dead || task->abandoned) {
    if (task->running_calls == 0) drop_task(*frame, *task);
    return;
  }
  task->path =
      std::make_shared<PathNode>(task_id(task->ref), task->started_ns, now_, std::move(task->path));
  task->started_ns = now_;
  if (returned) return task_succeeded(*frame, *task, returned->output);
  if (doubt) return task_succeeded(*frame, *task, Value());
  if (failed) return task_failed(*frame, *task, failed->error);
  begin_turn_tools(*frame, *task, std::get<ToolsWanted>(ended.outcome));
}

// What every call that has ended leaves behind, of the step's own or a model's.
void RunMachine::call_over(Frame& frame, Task& task, const CallEnded& ended) {
  --task.running_calls;
  --frame.running_calls;
  --running_calls_;
  const auto* returned = std::get_if<CallReturned>(&ended.outcome);
  charge(frame, ended.call.task.step, ended.usage, returned && costs_no_call(*returned) ? -1 : 0);
  const auto* failed = std::get_if<CallFailed>(&ended.outcome);
  const Error* error = failed ? &failed->error : nullptr;
  if (doubts_.contains(ended.call)) return end_doubt(ended.call, error, ended.usage);
  trace_call(TraceKind::kCallEnded, frame, ended.call, ended.usage, error,
             returned && returned->cached, returned ? returned->from : CallReturned::From::kCall);
}

void RunMachine::task_succeeded(Frame& frame, Task& task, Value output) {
  const Step& step = frame.plan->steps[task.ref.step].logical;
  if (!step.repeat) return end_task(frame, task, SlotStatus::kDone, std::move(output), nullptr);
  if (task.round == 0) task.round = 1;
  task.output = std::move(output);
  bind(task.ref, BindPurpose::kUntil);
}

void RunMachine::round_ended(Frame& frame, Task& task, bool holds) {
  const RepeatRule& rule = *frame.plan->steps[task.ref.step].logical.repeat;
  if (holds) return end_task(frame, task, SlotStatus::kDone, std::move(task.output), nullptr);
  if (task.round >= rule.max_rounds) {
    return apply_on_error(
        frame, task,
        Error(ErrorCode::kRepeatExhausted,
              fmt::format("its condition did not hold after {} rounds", task.round), rule.pos));
  }
  task.previous = std::move(task.output);
  ++task.round;
  task.attempt = 1;
  task.turn = 1;
  task.agent.reset();
  if (rule.delay_ms > 0) {
    task.timer = set_timer(call_ref(task), TimerUse::kRepeat, rule.delay_ms * kNsPerMs);
    return;
  }
  restart(frame, task);
}

// Binds the body again: `round` and `previous` may have changed.
void RunMachine::restart(Frame& frame, Task& task) {
  const PhysicalStep& step = frame.plan->steps[task.ref.step];
  bind(task.ref, step.produced_plan ? BindPurpose::kProducedPlan : BindPurpose::kBody);
}

void RunMachine::task_failed(Frame& frame, Task& task, Error error) {
  release_slot(frame, task);
  clear_timer(task);
  if (schedule_retry(frame, task, error)) return;
  if (task.attempt > 1) {
    error = Error(error.code(), fmt::format("after {} attempts", task.attempt)).with_cause(error);
  }
  apply_on_error(frame, task, std::move(error));
}

bool RunMachine::schedule_retry(Frame& frame, Task& task, const Error& error) {
  const Step& step = frame.plan->steps[task.ref.step].logical;
  if (!step.retry || task.attempt >= step.retry->attempts) return false;
  if (!retry_covers(*step.retry, error)) return false;
  // Items that have flowed on cannot be taken back.
  bool emits = frame.index->steps[task.ref.step].emits;
  if (emits && frame.steps[task.ref.step].relation.known > 0) return false;
  const RetryRule& rule = *step.retry;
  double delay_ms = retry_delay_ms(rule, error, task.attempt, call_ref(task));
  auto delay_ns = static_cast<std::int64_t>(delay_ms * kNsPerMs);
  ++task.attempt;
  task.turn = 1;
  task.agent.reset();
  if (trace_) {
    TraceEvent event;
    event.at = now_;
    event.kind = TraceKind::kRetryScheduled;
    event.call = call_ref(task);
    event.set_step(*frame.plan, task.ref.step);
    event.count = static_cast<std::uint64_t>(std::llround(delay_ms));
    event.error = &error;
    trace_->on_trace(event);
  }
  task.timer = set_timer(call_ref(task), TimerUse::kRetry, delay_ns);
  return true;
}

bool RunMachine::retry_covers(const RetryRule& rule, const Error& error) {
  if (rule.on.empty()) return error.retryable();
  return std::any_of(rule.on.begin(), rule.on.end(), [&](const std::string& name) {
    return name == error.name() || name == error_class_name(error.klass());
  });
}

// The delay after so many attempts. Its chance is the call's own: in a run that decides in another
// order it is the same.
double RunMachine::retry_delay_ms(const RetryRule& rule, const Error& error, std::uint32_t attempts,
                                  const CallRef& call) const {
  double delay_ms = static_cast<double>(rule.delay_ms) * std::pow(rule.factor, attempts - 1);
  delay_ms = std::min(delay_ms, static_cast<double>(rule.max_delay_ms));
  const double unit = static_cast<double>(call_hash(call, seed_) >> 11) * 0x1.0p-53;
  delay_ms *= 1.0 + rule.jitter * (2.0 * unit - 1.0);
  if (error.retry_after_ms()) {
    const auto asked_ms = static_cast<double>(*error.retry_after_ms());
    delay_ms = std::max(delay_ms, std::min(asked_ms, kLongestRetryAfterMs));
  }
  return delay_ms;
}

void RunMachine::apply_on_error(Frame& frame, Task& task, Error error) {
  const std::optional<OnErrorRule>& rule = frame.plan->steps[task.ref.step].logical.on_error;
  auto kind = rule ? rule->kind : OnErrorRule::Kind::kFail;
  // What a stream has given away cannot be taken back, nor made up for.
  bool flowed =
      frame.index->steps[task.ref.step].emits && frame.steps[task.ref.step].relation.known > 0;
  if (flowed) kind = OnErrorRule::Kind::kFail;
  switch (kind) {
    case OnErrorRule::Kind::kFail:
      return end_task(frame, task, SlotStatus::kFailed, Value(),
                      std::make_unique<Error>(std::move(error)));
    case OnErrorRule::Kind::kSkip:
      return end_task(frame, task, SlotStatus::kSkipped, Value(),
                      std::make_unique<Error>(std::move(error)));
    case OnErrorRule::Kind::kValue:
      set_task_status(frame, task.ref.step, task.ref.item, SlotStatus::kActive);
      task.error = std::make_unique<Error>(std::move(error));
      return bind(task.ref, BindPurpose::kOnError);
    case OnErrorRule::Kind::kStep:
      task.error = std::make_unique<Error>(std::move(error));
      return start_fallback(frame, task);
  }
}

// Runs the named step once for this task; it sees item, index and error, and lends its output.
void RunMachine::start_fallback(Frame& frame, Task& task) {
  set_task_status(frame, task.ref.step, task.ref.item, SlotStatus::kActive);
  std::uint32_t step = frame.plan->steps[task.ref.step].fallback;
  Task& standin = add_task(frame, step, task.ref.item);
  standin.fallback_for = task.ref.step;
  standin.error_value = error_as_value(*task.error);
  standin.path = task.path;
  standin.waiting = true;
  advance_fallback(frame, standin);
}

// A fallback waits for what it reads like any task; its failure of an input is its owner's.
void RunMachine::advance_fallback(Frame& frame, Task& standin) {
  if (!standin.waiting) return;
  TaskRef ref = standin.ref;
  Joined joined = join_edges(frame, ref.step, ref.item, EdgeUse::kBody);
  if (joined.ready == Ready::kNotYet) return;
  standin.waiting = false;
  if (joined.ready == Ready::kSkip) {
    return end_task(frame, standin, SlotStatus::kSkipped, Value(), nullptr);
  }
  if (joined.ready == Ready::kFail) {
    return end_task(frame, standin, SlotStatus::kFailed, Value(), std::move(joined.error));
  }
  bind(ref,
       frame.plan->steps[ref.step].produced_plan ? BindPurpose::kProducedPlan : BindPurpose::kBody);
}

// The end of a task that has a record. A fallback's end is the end of the task it stands in for.
void RunMachine::end_task(Frame& frame, Task& task, SlotStatus status, Value output,
                          std::unique_ptr<Error> error) {
  release_slot(frame, task);
  clear_timer(task);
  TaskRef ref = task.ref;
  PathPtr path = task.path ? std::move(task.path) : latest_input_path(frame, ref.step, ref.item);
  std::uint32_t owner_step = task.fallback_for;
  frame.steps[ref.step].tasks.erase(ref.item);
  if (owner_step == kNoIndex) {
    return finish_slot(frame, ref.step, ref.item, status, std::move(output), std::move(error),
                       std::move(path));
  }
  trace_task(status == SlotStatus::kDone ? TraceKind::kTaskDone : TraceKind::kTaskFailed, frame,
             ref, &output, error.get());
  Task* owner = find_task({ref.frame, owner_step, ref.item});
  if (!owner) return;
  owner->path = std::move(path);
  if (status == SlotStatus::kFailed && error) {
    std::string name = frame.plan->steps[ref.step].logical_ids.front();
    error = std::make_unique<Error>(
        Error(ErrorCode::kStepFailed, fmt::format("its fallback {} failed too", name))
            .with_cause(*error));
  }
  end_task(frame, *owner, status, std::move(output), std::move(error));
}

void RunMachine::sub_plan_timed_out(Frame& frame, Task& task) {
  task.timed_out = false;
  task.child = 0;
  std::int64_t limit_ms = frame.plan->steps[task.ref.step].logical.timeout_ms.value_or(0);
  task_failed(
      frame, task,
      Error(ErrorCode::kTimeout, fmt::format("the sub-plan took longer than {} ms", limit_ms)));
}

void RunMachine::on_timer(std::uint64_t timer) {
  auto found = timers_.find(timer);
  if (found == timers_.end()) return;
  const Timer fired = found->second;
  timers_.erase(found);
  if (fired.use == TimerUse::kUndo) {
    undoing_.timer = 0;
    return start_undo();
  }
  Frame* frame = find_frame(fired.task.frame);
  Task* task = find_task(fired.task);
  if (!frame || !task || frame->dead) return;
  task->timer = 0;
  switch (fired.use) {
    case TimerUse::kLimit: {
      // Its calls are cut and end first, whatever they say.
      task->timed_out = true;
      Frame* child = task->child ? find_frame(task->child) : nullptr;
      return child ? kill_frame(*child) : sub_plan_timed_out(*frame, *task);
    }
    case TimerUse::kRetry:  // the arguments stand
      return make_ready(*frame, *task);
    case TimerUse::kRepeat:  // a new round binds them again
      return restart(*frame, *task);
    case TimerUse::kWait:
      return wait_timed_out(*frame, *task);
    case TimerUse::kUndo:
      return;
  }
}

}  // namespace sluice
