// apply: events in, effects out; and the queue of what a change touches.

#include "runtime/machine/machine.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "base/ensure.h"
#include "base/failpoint.h"
#include "base/overloaded.h"

namespace sluice {

namespace {

// The most that is advised of each resource, in the plan and all below it. A step about which
// nothing is known may do well with more: then nothing is advised.
std::map<std::string, std::uint32_t, std::less<>> advised_places(const PhysicalPlan& root) {
  std::map<std::string, std::uint32_t, std::less<>> advised;
  std::set<std::string_view> unknown;
  std::vector<const PhysicalPlan*> open = {&root};
  std::set<const PhysicalPlan*> seen = {&root};
  while (!open.empty()) {
    const PhysicalPlan& plan = *open.back();
    open.pop_back();
    for (const PhysicalStep& step : plan.steps) {
      if (step.plan && seen.insert(step.plan.get()).second) open.push_back(step.plan.get());
      if (step.advice.most_at_once == 0) {
        unknown.insert(step.resource);
      } else if (!step.resource.empty()) {
        std::uint32_t& most = advised[step.resource];
        most = std::max(most, step.advice.most_at_once);
      }
    }
  }
  std::erase_if(advised, [&](const auto& entry) { return unknown.contains(entry.first); });
  return advised;
}

}  // namespace

RunMachine::RunMachine(PhysicalPlanPtr plan, TraceSink* trace)
    : trace_(trace), root_plan_(std::move(plan)), most_at_once_(advised_places(*root_plan_)) {}

void RunMachine::apply(std::span<const Event> events, EffectSink& sink) {
  sink_ = &sink;
  for (const Event& event : events) {
    now_ = event.at;
    if (!ended_) on_event(event);
    settle();
  }
  sink_ = nullptr;
}

void RunMachine::apply_bound(SteadyNs at, std::span<Bound> bounds, EffectSink& sink) {
  sink_ = &sink;
  now_ = at;
  for (Bound& bound : bounds) {
    on_bound(bound);
    while (!work_.empty()) {
      Work work = work_.front();
      work_.pop_front();
      do_work(work);
    }
  }
  settle();
  sink_ = nullptr;
}

void RunMachine::on_event(const Event& event) {
  std::visit(Overloaded{
                 [&](const RunStarted& body) { on_run_started(body); },
                 [&](const CallEnded& body) { on_call_ended(body); },
                 [&](const CallResumed& body) { on_call_resumed(body); },
                 [&](const ItemEmitted& body) { on_item(body); },
                 [&](const PlanAdmitted& body) { on_plan_admitted(body); },
                 [&](const PlanRefused& body) { on_plan_refused(body); },
                 [&](const TimerFired& body) { on_timer(body.timer); },
                 [&](const WaitBegan& body) { on_wait_began(body); },
                 [&](const SignalReceived& body) { on_signal(body); },
                 [&](const CancelRequested& body) { on_cancel(body.reason); },
                 [&](const StepReplanned& body) { on_step_replanned(body); },
             },
             event.body);
}

void RunMachine::settle() {
  do {
    while (!work_.empty()) {
      Work work = work_.front();
      work_.pop_front();
      do_work(work);
    }
    dispatch();
  } while (!work_.empty());
  maybe_end_idle();
}

void RunMachine::do_work(const Work& work) {
  Frame* frame = find_frame(work.frame);
  if (!frame || frame->dead || ended_) return;
  switch (work.kind) {
    case WorkKind::kConsider:
      return consider(*frame, work.step);
    case WorkKind::kOpen:
      return open_more(*frame, work.step);
    case WorkKind::kAdvance:
      if (frame->plan->steps[work.step].fallback_of != kNoIndex) {
        return advance_standins(*frame, work.step);
      }
      return advance(*frame, work.step, work.item);
    case WorkKind::kAdvanceAll: {
      const Relation& relation = frame->steps[work.step].relation;
      if (frame->plan->steps[work.step].fallback_of != kNoIndex) {
        return advance_standins(*frame, work.step);
      }
      if (frame->index->steps[work.step].emits) return advance(*frame, work.step, 0);
      for (std::uint32_t item = relation.prefix; item < relation.opened; ++item) {
        advance(*frame, work.step, item);
      }
      return;
    }
    case WorkKind::kFrameEnd:
      return frame_ended(*frame);
  }
}

void RunMachine::advance_standins(Frame& frame, std::uint32_t step) {
  std::vector<std::uint32_t> waiting;
  for (const auto& [item, task] : frame.steps[step].tasks) {
    if (task->waiting) waiting.push_back(item);
  }
  std::sort(waiting.begin(), waiting.end());
  for (std::uint32_t item : waiting) {
    if (Task* task = find_task({frame.id, step, item})) advance_fallback(frame, *task);
  }
}

void RunMachine::on_run_started(const RunStarted& started) {
  if (!frames_.empty()) return;
  run_id_ = started.run_id;
  seed_ = started.seed;
  if (trace_) {
    TraceEvent event;
    event.at = now_;
    event.kind = TraceKind::kRunStarted;
    trace_->on_trace(event);
  }
  Frame& root = add_frame(root_plan_, started.params, nullptr, nullptr);
  if (cancelled_) return kill_frame(root);  // before it began
  start_frame(root);
}

void RunMachine::on_item(const ItemEmitted& emitted) {
  Frame* frame = find_frame(emitted.call.task.frame);
  Task* task = find_task(emitted.call.task);
  if (!frame || !task || frame->dead || !task->calling || task->in_doubt) return;
  if (emitted.call != call_ref(*task)) return;
  std::uint32_t step = emitted.call.task.step;
  if (!frame->index->steps[step].emits) return;
  FrameStep& state = frame->steps[step];
  Relation& relation = state.relation;
  std::uint32_t item = relation.known++;
  relation.opened = relation.known;
  if (trace_) {
    TraceEvent event;
    event.at = now_;
    event.kind = TraceKind::kItemEmitted;
    event.call = emitted.call;
    event.set_step(*frame->plan, step);
    event.value = &emitted.item;
    event.count = relation.known;
    trace_->on_trace(event);
  }
  relation.finish(item, SlotStatus::kDone, emitted.item, nullptr);
  for (std::uint32_t consumer : frame->index->steps[step].slot_consumers) {
    push(WorkKind::kConsider, frame->id, consumer);
    push(WorkKind::kAdvance, frame->id, consumer, item);
  }
  if (++state.emitted_since_credit < kStreamCredit) return;
  state.emitted_since_credit = 0;
  state.credit_due = true;
  paused_streams_.insert({frame->id, step});
  push(WorkKind::kOpen, frame->id, step);
}

void RunMachine::on_cancel(const std::string& reason) {
  if (cancelled_ || undoing_.active) return;  // a run that undoes ends anyway
  cancelled_ = true;
  errors_.push_back(Error(ErrorCode::kCancelled, reason.empty() ? "cancelled" : reason));
  if (Frame* root = find_frame(0)) kill_frame(*root);
}

Frame* RunMachine::find_frame(std::uint64_t id) {
  auto found = frames_.find(id);
  return found == frames_.end() ? nullptr : found->second.get();
}

Task* RunMachine::find_task(const TaskRef& ref) {
  Frame* frame = find_frame(ref.frame);
  if (!frame || ref.step >= frame->steps.size()) return nullptr;
  auto found = frame->steps[ref.step].tasks.find(ref.item);
  return found == frame->steps[ref.step].tasks.end() ? nullptr : found->second.get();
}

Task& RunMachine::add_task(Frame& frame, std::uint32_t step, std::uint32_t item) {
  std::unique_ptr<Task>& task = frame.steps[step].tasks[item];
  if (!task) {
    task = std::make_unique<Task>();
    task->ref = {frame.id, step, item};
    task->path = latest_input_path(frame, step, item);
    if (frame.plan->steps[step].logical.repeat) task->round = 1;
  }
  return *task;
}

std::uint64_t RunMachine::set_timer(const CallRef& call, TimerUse use, std::int64_t delay_ns,
                                    WallNs until_wall_ns) {
  std::uint64_t timer = call_hash(call, static_cast<std::uint64_t>(use));
  if (timer == 0) timer = 1;  // 0 is none
  timers_.emplace(timer, Timer{call.task, use});
  const bool forgotten = use == TimerUse::kRetry && failpoint(Failpoint::kTimerForgotten);
  if (!forgotten) emit(SetTimer{timer, delay_ns, until_wall_ns});
  return timer;
}

void RunMachine::clear_timer(Task& task) {
  if (task.timer == 0) return;
  if (timers_.erase(task.timer) > 0) emit(ClearTimer{task.timer});
  task.timer = 0;
}

void RunMachine::bind(const TaskRef& task, BindPurpose purpose) {
  ++pending_binds_;
  sink_->binds.push_back({task, purpose});
}

void RunMachine::emit(decltype(RunEffect::body) body) {
  sink_->effects.push_back({std::move(body), 0});
}

CallRef RunMachine::call_ref(const Task& task, std::uint16_t call) const {
  return {task.ref, task.round, task.attempt, task.turn, call};
}

}  // namespace sluice
