// Ready tasks, limits, and starting calls. A task needs up to three things at once: a place in its
// step's concurrency, one of its callee, and one of the run. What lacks the first two is parked
// where it lacks them, so that it blocks nobody else.

#include <fmt/format.h>

#include <algorithm>

#include "base/failpoint.h"
#include "plan/task_id.h"
#include "runtime/machine/machine.h"

namespace sluice {

namespace {

// A sub-plan holds no place of the run, its calls do; a wait does nothing; nor does a stream that
// feeds other steps hold one, which would wait for consumers that wait for its place.
bool holds_run_slot(const Frame& frame, std::uint32_t step) {
  const OperatorKind op = frame.plan->steps[step].logical.op;
  return op != OperatorKind::kPlan && op != OperatorKind::kWait && !frame.index->steps[step].emits;
}

// What a budget still allows; the first bound that is reached, in words, or "".
std::string spent_bound(const Budget& budget, const Usage& used, std::uint64_t calls,
                        double seconds) {
  if (budget.tokens && used.tokens() >= static_cast<std::uint64_t>(*budget.tokens)) {
    return fmt::format("{} of {} tokens", used.tokens(), *budget.tokens);
  }
  if (budget.calls && calls >= static_cast<std::uint64_t>(*budget.calls)) {
    return fmt::format("{} of {} calls", calls, *budget.calls);
  }
  if (budget.usd && used.usd >= *budget.usd) {
    return fmt::format("{:.4f} of {:.4f} usd", used.usd, *budget.usd);
  }
  if (budget.seconds && seconds >= *budget.seconds) {
    return fmt::format("{:.1f} of {:.1f} seconds", seconds, *budget.seconds);
  }
  return {};
}

}  // namespace

ReadyKey RunMachine::ready_key(const Frame& frame, const Task& task) {
  ReadyKey key;
  key.origin_item = frame.id == 0 ? task.ref.item : frame.origin_item;
  key.rank = frame.plan->steps[task.ref.step].rank;
  key.order = next_order_++;
  key.task = task.ref;
  return key;
}

void RunMachine::make_ready(Frame& frame, Task& task, std::uint64_t group) {
  set_task_status(frame, task.ref.step, task.ref.item, SlotStatus::kActive);
  ReadyKey key = ready_key(frame, task);
  if (group != 0) {
    if (failpoint(Failpoint::kGroupForgetsTask) && groups_.contains(group)) return;
    join_group(key, group);
    if (failpoint(Failpoint::kGroupTakesSlot) && frame.id == 0) key.task.item = key.origin_item;
  }
  enqueue(key);
}

// Tasks of a group stand where the first of them stands: what they have in common is computed once
// and not once in a while. Nobody waits for longer than those in the window before it take.
void RunMachine::join_group(ReadyKey& key, std::uint64_t group) {
  StartGroup& known = groups_.try_emplace(group, StartGroup{key.origin_item, 0}).first->second;
  known.origin_item = std::min(known.origin_item, key.origin_item);
  ++known.ready;
  key.origin_item = known.origin_item;
  key.group = group;
}

void RunMachine::leave_group(const ReadyKey& key) {
  if (key.group == 0) return;
  const auto found = groups_.find(key.group);
  if (found != groups_.end() && --found->second.ready == 0) groups_.erase(found);
}

void RunMachine::enqueue(const ReadyKey& key) { ready_.push(key); }

// How many calls its callee takes at once; 0: any number. What the optimizer has to say of a
// callee holds for all of its steps, also for those of plans that come later.
std::uint32_t RunMachine::places_of(const PhysicalStep& step) const {
  const std::uint32_t stated = step.resource_limit;
  if (most_at_once_.empty()) return stated;
  const auto found = most_at_once_.find(step.resource);
  if (found == most_at_once_.end()) return stated;
  const std::uint32_t less = failpoint(Failpoint::kLimitOneLess) ? 1 : 0;
  const std::uint32_t advised = found->second - less;
  return stated == 0 ? advised : std::min(stated, advised);
}

// Parks the task where it must wait, or takes its places.
bool RunMachine::may_start(const ReadyKey& key) {
  Frame* frame = find_frame(key.task.frame);
  Task* task = find_task(key.task);
  if (!frame || frame->dead || !task || task->abandoned) {
    leave_group(key);
    return false;
  }
  const PhysicalStep& step = frame->plan->steps[key.task.step];
  FrameStep& state = frame->steps[key.task.step];
  auto& [used, parked] = resources_[step.resource];
  const std::uint32_t places = places_of(step);
  const bool limited = step.resource_limit > 0 || places > 0;
  if (step.logical.concurrency && state.running >= *step.logical.concurrency) {
    state.parked.push(key);
    // The callee's place that this one leaves unused may suit another step's task.
    if (limited && used < places && !parked.empty()) {
      enqueue(parked.top());
      parked.pop();
    }
    return false;
  }
  if (limited && used >= places) {
    if (failpoint(Failpoint::kLimitDropsCalls) && places < step.resource_limit) return false;
    parked.push(key);
    return false;
  }
  leave_group(key);
  ++state.running;
  if (limited) ++used;
  if (holds_run_slot(*frame, key.task.step)) ++slots_used_;
  task->slot_held = true;
  return true;
}

void RunMachine::release_slot(Frame& frame, Task& task) {
  if (!task.slot_held) return;
  task.slot_held = false;
  const PhysicalStep& step = frame.plan->steps[task.ref.step];
  FrameStep& state = frame.steps[task.ref.step];
  --state.running;
  if (failpoint(Failpoint::kPlaceReleasedTwice) && state.running > 0) --state.running;
  if (holds_run_slot(frame, task.ref.step)) --slots_used_;
  if (!state.parked.empty()) {
    enqueue(state.parked.top());
    state.parked.pop();
  }
  if (step.resource_limit == 0 && places_of(step) == 0) return;
  auto& [used, parked] = resources_[step.resource];
  --used;
  if (!parked.empty()) {
    enqueue(parked.top());
    parked.pop();
  }
}

void RunMachine::dispatch() {
  while (!cancelled_ && !ended_ && !ready_.empty() && slots_used_ < root_plan_->concurrency) {
    ReadyKey key = ready_.top();
    ready_.pop();
    if (!may_start(key)) continue;
    start_task(*find_frame(key.task.frame), *find_task(key.task));
  }
}

void RunMachine::start_task(Frame& frame, Task& task) {
  const PhysicalStep& step = frame.plan->steps[task.ref.step];
  if (task.started_ns == 0) task.started_ns = now_;
  if (step.logical.op == OperatorKind::kWait) return begin_wait(frame, task);
  if (step.logical.op != OperatorKind::kPlan) return start_call(frame, task);
  FrameStep& state = frame.steps[task.ref.step];
  if (state.first_call_ns == 0) state.first_call_ns = now_;
  if (step.logical.timeout_ms) {
    task.timer = set_timer(call_ref(task), TimerUse::kLimit, *step.logical.timeout_ms * kNsPerMs);
  }
  if (!step.produced_plan) {
    return enter_plan(frame, task, plan_of_item(frame, task.ref.step, task.ref.item), nullptr);
  }
  AdmitPlan admit;
  admit.task = task.ref;
  admit.frame = frame_id(call_ref(task));
  admit.step = &step;
  admit.plan = task.plan;
  admit.args = task.args;
  if (step.logical.limits) admit.limits = *step.logical.limits;
  for (const Frame* above = &frame; above;
       above = above->id == 0 ? nullptr : find_frame(above->parent.frame)) {
    if (!above->limits) continue;
    const Limits& limits = *above->limits;
    std::uint64_t steps = above->plan->steps.size();
    admit.limits.depth = std::min(admit.limits.depth, limits.depth == 0 ? 0 : limits.depth - 1);
    admit.limits.steps = std::min(admit.limits.steps, limits.steps - std::min(limits.steps, steps));
    admit.limits.tasks =
        std::min(admit.limits.tasks, limits.tasks - std::min(limits.tasks, above->tasks_opened));
  }
  pending_admits_.insert(task.ref);
  emit(std::move(admit));
}

void RunMachine::start_call(Frame& frame, Task& task) {
  const PhysicalStep& step = frame.plan->steps[task.ref.step];
  FrameStep& state = frame.steps[task.ref.step];
  if (state.first_call_ns == 0) state.first_call_ns = now_;
  if (const std::string spent = budget_words(frame, task.ref.step); !spent.empty()) {
    return task_failed(
        frame, task, Error(ErrorCode::kBudgetSpent, fmt::format("the budget is spent: {}", spent)));
  }
  StartCall start;
  start.call = call_ref(task);
  start.step = &step;
  start.args = task.args;
  if (task.agent) start.transcript = Value::array(task.agent->transcript);
  start.task_id = call_name(task);
  start.idempotency_key = call_key(start.task_id);
  start.timeout_ms = step.logical.timeout_ms.value_or(0);
  if (task.resumed) {
    // A stream goes on behind the items that it has given.
    if (state.credit_due) paused_streams_.insert({frame.id, task.ref.step});
    push(WorkKind::kOpen, frame.id, task.ref.step);
  } else {
    state.emitted_since_credit = 0;
    state.credit_due = false;
  }
  task.resumed = false;
  start.streaming = frame.index->steps[task.ref.step].emits;
  task.calling = true;
  ++task.running_calls;
  ++frame.running_calls;
  ++running_calls_;
  charge(frame, task.ref.step, Usage{}, 1);
  trace_call(TraceKind::kCallStarted, frame, start.call, Usage{}, nullptr, false);
  emit(std::move(start));
}

// A repeated task's calls are told apart by their round.
std::string RunMachine::round_id(const Task& task) const {
  std::string id = task_id(task.ref);
  if (task.round > 0) id += fmt::format("#{}", task.round);
  return id;
}

// The first bound that is reached, of the step, of its frame, or of any frame above.
std::string RunMachine::budget_words(const Frame& frame, std::uint32_t step) {
  const PhysicalStep& physical = frame.plan->steps[step];
  auto seconds_since = [&](SteadyNs start) {
    return start == 0 ? 0.0 : static_cast<double>(now_ - start) / kNsPerSecond;
  };
  const FrameStep& state = frame.steps[step];
  std::string words = spent_bound(physical.logical.budget, state.used, state.calls,
                                  seconds_since(state.first_call_ns));
  if (!words.empty()) return words + " of step " + physical.logical_ids.front();
  for (const Frame* above = &frame;;) {
    double seconds = seconds_since(above->started_ns);
    words = spent_bound(above->plan->budget, above->used, above->calls, seconds);
    if (words.empty() && above->limits) {
      words = spent_bound(above->limits->budget, above->used, above->calls, seconds);
    }
    if (!words.empty()) return words + (above->id == 0 ? " of the run" : " of the sub-plan");
    if (above->id == 0) return {};
    const Frame* parent = find_frame(above->parent.frame);
    const FrameStep& caller = parent->steps[above->parent.step];
    words = spent_bound(parent->plan->steps[above->parent.step].logical.budget, caller.used,
                        caller.calls, seconds_since(caller.first_call_ns));
    if (!words.empty()) {
      return words + " of step " + parent->plan->steps[above->parent.step].logical_ids.front();
    }
    above = parent;
  }
}

// `calls`: how many began, or, negative, turned out not to be made.
void RunMachine::charge(Frame& frame, std::uint32_t step, const Usage& usage, std::int64_t calls) {
  if (failpoint(Failpoint::kBudgetNotCharged)) return;
  auto count = [calls](std::uint64_t& of) {
    const auto less = static_cast<std::uint64_t>(calls < 0 ? -calls : 0);
    of = calls < 0 ? of - std::min(of, less) : of + static_cast<std::uint64_t>(calls);
  };
  std::uint32_t at = step;
  for (Frame* above = &frame;;) {
    above->used += usage;
    count(above->calls);
    above->steps[at].used += usage;
    count(above->steps[at].calls);
    if (above->id == 0) return;
    Frame* parent = find_frame(above->parent.frame);
    at = parent ? above->parent.step : kNoIndex;
    above = parent ? parent : find_frame(0);  // cut off by a timeout: the run pays all the same
    if (at == kNoIndex) {
      above->used += usage;
      count(above->calls);
      return;
    }
  }
}

// The name of a call: a model's tool call is told apart by its turn and number.
std::string RunMachine::call_name(const Task& task, std::uint16_t call) const {
  std::string name = round_id(task);
  if (call > 0) name += fmt::format("/turn#{}/call#{}", task.turn, call);
  // What a model wants in a second attempt may be something else.
  const bool own = call > 0 || failpoint(Failpoint::kKeyOfAttempt);
  if (own && task.attempt > 1) name += fmt::format("/attempt#{}", task.attempt);
  return name;
}

// Equal for every retry and resume of the same call; each round and each model's tool call has its
// own. The TaskId of a repeated task ends in its round.
std::string RunMachine::call_key(const std::string& name) const {
  Result<TaskId> parsed = TaskId::parse(name);
  return parsed ? idempotency_key(run_id_, *parsed) : std::string();
}

}  // namespace sluice
