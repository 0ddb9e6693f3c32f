// Executions of plans inside a run: the root, sub-plans, produced plans, and how each ends.

#include <fmt/format.h>

#include <algorithm>

#include "runtime/machine/machine.h"

namespace sluice {

namespace {

// Parameters that the caller left out get their defaults; all were checked before.
Value with_defaults(const PhysicalPlan& plan, const Value& given) {
  bool complete = true;
  for (const ParamSpec& param : plan.logical->params) {
    complete = complete && (!param.has_default || given.find(param.id));
  }
  if (complete) return given;
  std::vector<Value::Member> members;
  if (given.is_object()) members.assign(given.members().begin(), given.members().end());
  for (const ParamSpec& param : plan.logical->params) {
    if (param.has_default && !given.find(param.id)) {
      members.emplace_back(param.id, param.default_value);
    }
  }
  return Value::object(std::move(members)).with_labels(given.labels());
}

}  // namespace

Frame& RunMachine::add_frame(PhysicalPlanPtr plan, Value params, const Task* caller,
                             const Frame* above) {
  auto frame = std::make_unique<Frame>();
  frame->plan = std::move(plan);
  frame->params = std::move(params);
  frame->started_ns = now_;
  if (caller && above) {
    frame->id = frame_id(call_ref(*caller));
    frame->parent = caller->ref;
    frame->depth = above->depth + 1;
    frame->origin_item = above->id == 0 ? caller->ref.item : above->origin_item;
    frame->path_prefix = round_id(*caller) + "/";
  }
  lay_out(*frame);
  Frame& added = *frame;
  frames_.emplace(added.id, std::move(frame));
  return added;
}

// What follows from the plan alone: the index, the steps, and who reads them.
void RunMachine::lay_out(Frame& frame) {
  std::weak_ptr<const PlanIndex>& known = indexes_[frame.plan.get()];
  std::shared_ptr<const PlanIndex> index = known.lock();
  if (!index) {
    index = std::make_shared<const PlanIndex>(frame.plan);
    known = index;
  }
  frame.index = index;
  frame.steps = std::vector<FrameStep>(frame.plan->steps.size());
  for (std::uint32_t step = 0; step < frame.steps.size(); ++step) {
    Relation& relation = frame.steps[step].relation;
    relation.keep_values = index->steps[step].whole_readers;
    for (std::uint32_t consumer : index->steps[step].slot_consumers) {
      const std::vector<std::uint32_t>& producers = index->steps[consumer].slot_producers;
      relation.slot_readers = static_cast<std::uint32_t>(
          relation.slot_readers + std::count(producers.begin(), producers.end(), step));
    }
  }
}

void RunMachine::start_frame(Frame& frame) {
  for (std::uint32_t step = 0; step < frame.plan->steps.size(); ++step) {
    if (frame.plan->steps[step].fallback_of != kNoIndex) continue;
    ++frame.open_steps;
    push(WorkKind::kConsider, frame.id, step);
  }
  if (frame.open_steps == 0) push(WorkKind::kFrameEnd, frame.id);
}

void RunMachine::enter_plan(Frame& frame, Task& task, PhysicalPlanPtr plan, const Limits* limits) {
  Value params = with_defaults(*plan, task.args);
  Frame& child = add_frame(std::move(plan), std::move(params), &task, &frame);
  child.entry_path = task.path ? task.path : latest_input_path(frame, task.ref.step, task.ref.item);
  child.last_path = child.entry_path;
  child.limits = limits;
  child.admission = frame.admission;
  if (frame.plan->steps[task.ref.step].produced_plan) {
    child.admission = std::make_shared<const Admission>(AdmissionRef{task.ref, child.id},
                                                        child.plan, frame.plan, frame.admission);
  }
  task.child = child.id;
  ++frame.children;
  start_frame(child);
}

// ---- other forms of a step's sub-plan ----

// What undoes calls finds their steps by the plans that were known when the run began.
bool RunMachine::may_replan(std::uint32_t step) const {
  if (step >= root_plan_->steps.size() || root_plan_->undo) return false;
  const PhysicalStep& physical = root_plan_->steps[step];
  return physical.logical.op == OperatorKind::kPlan && physical.mapped && physical.plan;
}

std::uint32_t RunMachine::first_not_begun(std::uint32_t step) const {
  const auto root = frames_.find(0);
  if (root == frames_.end() || step >= root->second->steps.size()) return 0;
  const FrameStep& state = root->second->steps[step];
  std::uint32_t from = state.relation.prefix;
  for (std::uint32_t item = from; item < state.relation.opened; ++item) {
    const auto task = state.tasks.find(item);
    const bool begun = task != state.tasks.end()
                           ? task->second->started_ns != 0 || task->second->attempt > 1
                           : is_terminal(state.relation.status(item));
    if (begun) from = item + 1;
  }
  return from;
}

const PhysicalPlanPtr& RunMachine::plan_of_item(const Frame& frame, std::uint32_t step,
                                                std::uint32_t item) const {
  for (auto form = replanned_.rbegin(); frame.id == 0 && form != replanned_.rend(); ++form) {
    if (form->step == step && item >= form->from_item) return form->plan;
  }
  return frame.plan->steps[step].plan;
}

void RunMachine::on_step_replanned(const StepReplanned& replanned) {
  if (!may_replan(replanned.step) || !replanned.plan) return;
  replanned_.push_back(replanned);
  trace_replanned(replanned);
}

void RunMachine::trace_replanned(const StepReplanned& replanned) {
  if (!trace_) return;
  TraceEvent event;
  event.at = now_;
  event.kind = TraceKind::kReplanned;
  event.call.task = {0, replanned.step, kNoIndex};
  event.set_step(*root_plan_, replanned.step);
  event.count = replanned.from_item;
  event.replanned = replanned.plan.get();
  const Value why = Value::from_utf8(replanned.why).value_or(Value::string(""));
  event.value = &why;
  trace_->on_trace(event);
}

void RunMachine::on_plan_admitted(const PlanAdmitted& admitted) {
  auto pending = pending_admits_.find(admitted.task);
  if (pending == pending_admits_.end()) return;
  pending_admits_.erase(pending);
  Frame* frame = find_frame(admitted.task.frame);
  Task* task = find_task(admitted.task);
  if (!frame || !task || frame->dead || task->abandoned) return;
  if (!task->slot_held || task->child != 0) return;  // of an attempt that is over
  task->admitted = admitted.plan;
  if (trace_) {
    TraceEvent event;
    event.at = now_;
    event.kind = TraceKind::kPlanAdmitted;
    event.call = call_ref(*task);
    event.set_step(*frame->plan, admitted.task.step);
    event.count = admitted.plan->steps.size();
    trace_->on_trace(event);
  }
  const std::optional<Limits>& limits = frame->plan->steps[admitted.task.step].logical.limits;
  enter_plan(*frame, *task, admitted.plan, limits ? &*limits : nullptr);
}

void RunMachine::on_plan_refused(const PlanRefused& refused) {
  auto pending = pending_admits_.find(refused.task);
  if (pending == pending_admits_.end()) return;
  pending_admits_.erase(pending);
  Frame* frame = find_frame(refused.task.frame);
  Task* task = find_task(refused.task);
  if (!frame || !task || frame->dead || task->abandoned) return;
  if (!task->slot_held || task->child != 0) return;  // of an attempt that is over
  task_failed(*frame, *task, refused.error);
}

void RunMachine::frame_ended(Frame& frame) {
  if (frame.dead || frame.result_requested) return;
  frame.result_requested = true;
  bind({frame.id, 0, 0}, BindPurpose::kResult);
}

void RunMachine::frame_result(Frame& frame, Value value, std::optional<Error> error) {
  if (frame.id == 0) {
    if (error && !frame.failed) {
      frame.failed = true;
      errors_.push_back(
          Error(ErrorCode::kStepFailed, "the result cannot be told").with_cause(*error));
    }
    RunStatus status = frame.failed ? (budget_hit_ ? RunStatus::kBudgetSpent : RunStatus::kFailed)
                                    : RunStatus::kSucceeded;
    return finish_run(status, std::move(value));
  }
  Frame* parent = find_frame(frame.parent.frame);
  Task* task = find_task(frame.parent);
  std::unique_ptr<Error> failure;
  if (frame.failed) {
    failure = frame.first_error
                  ? std::move(frame.first_error)
                  : std::make_unique<Error>(ErrorCode::kStepFailed, "the sub-plan failed");
  } else if (error) {
    failure = std::make_unique<Error>(std::move(*error));
  }
  PathPtr path = frame.last_path;
  drop_frame(frame.id);
  if (!parent || !task) return;
  task->child = 0;
  if (path) task->path = std::move(path);
  clear_timer(*task);
  release_slot(*parent, *task);
  if (failure) return task_failed(*parent, *task, std::move(*failure));
  task_succeeded(*parent, *task, std::move(value));
}

// Stops all that runs in a frame and below; its calls still end, then it goes. A call in doubt
// keeps it until that is settled.
void RunMachine::kill_frame(Frame& frame) {
  if (frame.dead) return;
  frame.dead = true;
  ++frame.children;  // keeps the frame while those below it go
  for (FrameStep& step : frame.steps) {
    // In their order: what is told must not hang on how a table lies in memory.
    std::vector<std::uint32_t> items;
    items.reserve(step.tasks.size());
    for (const auto& [item, task] : step.tasks) items.push_back(item);
    std::sort(items.begin(), items.end());
    for (std::uint32_t item : items) kill_task(frame, *step.tasks.at(item));
  }
  // What is parked for a callee may be of this frame: everyone asks again.
  for (auto& [name, resource] : resources_) {
    for (; !resource.second.empty(); resource.second.pop()) enqueue(resource.second.top());
  }
  --frame.children;
  drop_if_over(frame);
}

void RunMachine::kill_task(Frame& frame, Task& task) {
  clear_timer(task);
  forget_wait(task);
  if (Frame* child = task.child ? find_frame(task.child) : nullptr) kill_frame(*child);
  if (!task.calling) release_slot(frame, task);
  task.abandoned = true;
  paused_streams_.erase({task.ref.frame, task.ref.step});
  if (task.calling && !task.in_doubt) emit(CancelCall{call_ref(task)});
  if (!task.agent) return;
  for (std::size_t index = 0; index < task.agent->calls.size(); ++index) {
    if (!task.agent->results[index].is_null()) continue;
    const CallRef call = call_ref(task, static_cast<std::uint16_t>(index + 1));
    if (!doubts_.contains(call)) emit(CancelCall{call});
  }
}

// A dead frame goes once its calls, and those of the frames below, have ended.
void RunMachine::drop_if_over(Frame& frame) {
  if (frame.dead && frame.running_calls == 0 && frame.children == 0) drop_frame(frame.id);
}

void RunMachine::drop_task(Frame& frame, Task& task) {
  release_slot(frame, task);
  clear_timer(task);
  frame.steps[task.ref.step].tasks.erase(task.ref.item);
  drop_if_over(frame);
}

void RunMachine::drop_frame(std::uint64_t id) {
  auto found = frames_.find(id);
  if (found == frames_.end() || id == 0) return;  // the root stays to tell the end
  const auto index = indexes_.find(found->second->plan.get());
  TaskRef caller = found->second->parent;
  for (const FrameStep& step : found->second->steps) {
    for (const ReadyKey& key : step.parked.keys()) leave_group(key);
  }
  frames_.erase(found);
  if (index != indexes_.end() && index->second.expired()) indexes_.erase(index);
  Frame* above = find_frame(caller.frame);
  if (!above) return;
  --above->children;
  if (above->dead) return drop_if_over(*above);
  Task* task = find_task(caller);
  if (task && task->timed_out) sub_plan_timed_out(*above, *task);
}

}  // namespace sluice
