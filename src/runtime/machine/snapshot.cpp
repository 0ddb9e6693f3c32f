// The whole state of a run as bytes, between two applies and while no binds are waiting.

#include "runtime/machine/snapshot.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/ensure.h"
#include "base/failpoint.h"
#include "plan/physical_codec.h"
#include "runtime/machine/machine.h"

namespace sluice {

// Chains may be as long as a run has steps: no recursion.
void StateWriter::path(const PathPtr& path) {
  std::vector<const PathNode*> unknown;
  const PathNode* node = path.get();
  for (; node && !numbers_.contains(node); node = node->previous.get()) unknown.push_back(node);
  std::uint64_t previous = node ? numbers_.at(node) : 0;
  for (std::size_t left = unknown.size(); left-- > 0;) {
    node = unknown[left];
    nodes_.text(node->task_id);
    nodes_.whole(node->start_ns);
    nodes_.whole(node->end_ns);
    nodes_.number(previous);
    previous = numbers_.size() + 1;
    numbers_.emplace(node, previous);
  }
  number(previous);
}

void StateWriter::some_error(const std::unique_ptr<Error>& error_in) {
  flag(error_in != nullptr);
  if (error_in) error(*error_in);
}

std::string StateWriter::finish() {
  WireWriter whole;
  whole.number(kSnapshotVersion);
  whole.number(numbers_.size());
  whole.text(nodes_.take());
  whole.text(take());
  return whole.take();
}

void Relation::save(StateWriter& out) const {
  out.byte(static_cast<std::uint8_t>(phase));
  out.number(known);
  out.flag(closed);
  for (std::uint32_t count : {opened, prefix, terminal, failed, spilled, first_failed_}) {
    out.number(count);
  }
  out.path(last_path);
  out.some_error(error);
  out.number(scanned_chunks_);
  std::map<std::uint32_t, const Error*> errors;
  for (const auto& [item, why] : errors_) errors.emplace(item, &why);
  out.number(errors.size());
  for (const auto& [item, why] : errors) {
    out.number(item);
    out.error(*why);
  }
  out.number(chunks_.size());
  for (const std::unique_ptr<Chunk>& chunk : chunks_) {
    out.flag(chunk != nullptr);
    if (!chunk) continue;
    out.number(chunk->slots.size());
    out.number(chunk->released);
    std::size_t used = chunk->slots.size();
    for (; used > 0; --used) {
      const Slot& last = chunk->slots[used - 1];
      if (last.status != SlotStatus::kUnopened || last.consumed > 0) break;
    }
    out.number(used);
    out.flag(chunk->paths != nullptr);
    for (std::size_t offset = 0; offset < used; ++offset) {
      const Slot& slot = chunk->slots[offset];
      out.byte(static_cast<std::uint8_t>(slot.status));
      out.number(slot.consumed);
      out.value(slot.value);
      if (chunk->paths) out.path((*chunk->paths)[offset]);
    }
  }
}

namespace {

using PlanPaths = std::map<const PhysicalPlan*, std::vector<std::uint32_t>>;

void write_wait_began(StateWriter& out, const WaitBegan& wait) {
  out.call(wait.call);
  out.text(wait.signal);
  out.whole(wait.until_wall_ns);
  out.flag(wait.has_value);
  out.value(wait.value);
  out.text(wait.of);
  out.text(wait.ask);
}

void write_values(StateWriter& out, const std::vector<Value>& values) {
  out.number(values.size());
  for (const Value& value : values) out.value(value);
}

void write_heap(StateWriter& out, const ReadyHeap& heap) {
  out.number(heap.keys().size());
  for (const ReadyKey& key : heap.keys()) {
    out.number(key.origin_item);
    out.number(key.rank);
    out.number(key.order);
    out.task(key.task);
    out.number(key.group);
  }
}

// Its admitted plan comes with the frame below.
void write_task(StateWriter& out, const Task& task) {
  out.number(task.round);
  out.number(task.attempt);
  out.number(task.turn);
  out.number(task.running_calls);
  for (bool set : {task.slot_held, task.waiting, task.calling, task.in_doubt, task.resumed,
                   task.timed_out, task.abandoned}) {
    out.flag(set);
  }
  out.fixed64(task.timer);
  out.fixed64(task.child);
  out.number(task.fallback_for);
  out.whole(task.started_ns);
  for (const Value* value :
       {&task.args, &task.plan, &task.previous, &task.output, &task.error_value}) {
    out.value(*value);
  }
  out.some_error(task.error);
  out.path(task.path);
  out.flag(task.agent != nullptr);
  if (task.agent) {
    write_values(out, task.agent->transcript);
    write_values(out, task.agent->calls);
    write_values(out, task.agent->results);
    out.number(task.agent->pending);
  }
  out.flag(task.wait != nullptr);
  if (!task.wait) return;
  out.text(task.wait->task_id);
  out.flag(task.wait->begun);
  out.number(task.wait->order);
  out.whole(task.wait->since_ns);
  write_wait_began(out, task.wait->wait);
}

void write_step(StateWriter& out, const FrameStep& step) {
  step.relation.save(out);
  out.value(step.items);
  out.flag(step.items_requested);
  out.byte(static_cast<std::uint8_t>(step.emit_status));
  out.number(step.emitted_since_credit);
  out.flag(step.credit_due);
  for (std::uint32_t edge : step.wholes_ready) out.number(edge);
  out.number(step.running);
  write_heap(out, step.parked);
  out.usage(step.used);
  out.number(step.calls);
  out.whole(step.first_call_ns);
  std::map<std::uint32_t, const Task*> tasks;
  for (const auto& [item, task] : step.tasks) tasks.emplace(item, task.get());
  out.number(tasks.size());
  for (const auto& [item, task] : tasks) {
    out.number(item);
    write_task(out, *task);
  }
}

// Every plan that is known before the run begins, by the steps that lead to it.
PlanPaths plan_paths(const PhysicalPlan& root) {
  PlanPaths paths;
  std::vector<std::pair<const PhysicalPlan*, std::vector<std::uint32_t>>> open{{&root, {}}};
  while (!open.empty()) {
    auto [plan, path] = std::move(open.back());
    open.pop_back();
    if (!paths.emplace(plan, path).second) continue;
    for (std::uint32_t step = 0; step < plan->steps.size(); ++step) {
      if (!plan->steps[step].plan) continue;
      path.push_back(step);
      open.emplace_back(plan->steps[step].plan.get(), path);
      path.pop_back();
    }
  }
  return paths;
}

}  // namespace

void RunMachine::write_frame(StateWriter& out, const Frame& frame) const {
  out.fixed64(frame.id);
  out.task(frame.parent);
  if (frame.id != 0) {
    const Frame& parent = *frames_.at(frame.parent.frame);
    const bool known = plan_of_item(parent, frame.parent.step, frame.parent.item) == frame.plan;
    out.flag(known);
    if (!known) out.value(encode_physical(*frame.plan));
  }
  out.number(frame.origin_item);
  out.text(frame.path_prefix);
  out.value(frame.params);
  out.number(frame.open_steps);
  out.number(frame.running_calls);
  out.number(frame.children);
  out.flag(frame.dead);
  out.flag(frame.result_requested);
  out.flag(frame.failed);
  out.some_error(frame.first_error);
  out.flag(frame.limits != nullptr);
  out.number(frame.tasks_opened);
  out.usage(frame.used);
  out.number(frame.calls);
  out.whole(frame.started_ns);
  out.path(frame.entry_path);
  out.path(frame.last_path);
  for (const FrameStep& step : frame.steps) write_step(out, step);
}

// Plans that stand for a step's own from an item on: before the frames that run them.
void RunMachine::write_replanned(StateWriter& out) const {
  if (failpoint(Failpoint::kSnapshotForgetsForms)) return out.number(0);
  out.number(replanned_.size());
  for (const StepReplanned& replanned : replanned_) {
    out.number(replanned.step);
    out.number(replanned.from_item);
    out.text(replanned.why);
    out.value(encode_physical(*replanned.plan));
  }
}

std::string RunMachine::snapshot(std::vector<Value>* resting) const {
  SLUICE_ENSURE(pending_binds_ == 0 && work_.empty(), "a snapshot in the middle of a decision");
  StateWriter out;
  out.collect(resting);
  out.text(run_id_);
  out.fixed64(seed_);
  out.whole(now_);
  out.number(next_order_);
  out.number(next_wait_);
  out.number(running_calls_);
  out.number(slots_used_);
  for (bool set : {cancelled_, ended_, budget_hit_, doubt_told_}) out.flag(set);
  out.number(failed_tasks_);
  out.number(errors_.size());
  for (const Error& error : errors_) out.error(error);
  // Those above first: a frame is found through its caller.
  std::vector<const Frame*> frames;
  for (const auto& [id, frame] : frames_) frames.push_back(frame.get());
  std::sort(frames.begin(), frames.end(), [](const Frame* a, const Frame* b) {
    return a->depth != b->depth ? a->depth < b->depth : a->id < b->id;
  });
  write_replanned(out);
  out.number(frames.size());
  for (const Frame* frame : frames) write_frame(out, *frame);
  write_queues(out);
  write_undo(out);
  out.number(doubts_.size());
  for (const auto& [call, doubt] : doubts_) {
    out.call(call);
    out.text(doubt.task_id);
    out.error(doubt.error);
  }
  return out.finish();
}

void RunMachine::write_queues(StateWriter& out) const {
  write_heap(out, ready_);
  out.number(resources_.size());
  for (const auto& [name, resource] : resources_) {
    out.text(name);
    out.number(resource.first);
    write_heap(out, resource.second);
  }
  std::map<std::uint64_t, Timer> timers(timers_.begin(), timers_.end());
  if (failpoint(Failpoint::kSnapshotForgetsTimers)) timers.clear();
  out.number(timers.size());
  for (const auto& [id, timer] : timers) {
    out.fixed64(id);
    out.task(timer.task);
    out.byte(static_cast<std::uint8_t>(timer.use));
  }
  out.number(paused_streams_.size());
  for (const auto& [frame, step] : paused_streams_) out.task({frame, step, 0});
  out.number(pending_admits_.size());
  for (const TaskRef& task : pending_admits_) out.task(task);
  out.number(groups_.size());
  for (const auto& [id, group] : groups_) {
    out.number(id);
    out.number(group.origin_item);
    out.number(group.ready);
  }
  // Who waits for a signal is known from the tasks.
  std::size_t kept = 0;
  for (const auto& [name, waits] : signals_) kept += waits.kept.size();
  out.number(kept);
  for (const auto& [name, waits] : signals_) {
    for (const SignalReceived& signal : waits.kept) {
      out.number(signal.message);
      out.text(signal.name);
      out.text(signal.task);
      out.value(signal.value);
    }
  }
}

std::set<AdmissionRef> RunMachine::admissions() const {
  std::set<AdmissionRef> found;
  auto add = [&](const Admission* admission) {
    for (; admission != nullptr; admission = admission->above.get()) found.insert(admission->ref);
  };
  for (const auto& [id, frame] : frames_) add(frame->admission.get());
  for (const Finished& finished : finished_) add(finished.admission.get());
  return found;
}

// Where a finished call's plan is found again: below the root's, or below one that was admitted.
// When no frame has that one any more, it comes with the place of the step that produced it.
void RunMachine::write_plan_place(StateWriter& out, const PhysicalPlan* plan,
                                  const Admission* admission) const {
  auto lives_in = [&](const PhysicalPlan* admitted) {
    std::uint64_t lowest = 0;
    for (const auto& [id, frame] : frames_) {
      const bool less = lowest == 0 || id < lowest;
      if (frame->plan.get() == admitted && id != 0 && less) lowest = id;
    }
    return lowest;
  };
  // From the call up; written from above down, as it will be read.
  struct Place {
    const PhysicalPlan* top;
    const PhysicalPlan* plan;
    const Admission* gone;  // whose plan `top` is
  };
  std::vector<Place> places;
  std::uint64_t frame = 0;
  for (; admission != nullptr; admission = admission->above.get()) {
    frame = lives_in(admission->plan.get());
    places.push_back({admission->plan.get(), plan, frame == 0 ? admission : nullptr});
    if (frame != 0) break;
    plan = admission->caller.get();
  }
  if (admission == nullptr) places.push_back({root_plan_.get(), plan, nullptr});
  out.fixed64(frame);  // 0: the root's
  out.number(places.size() - 1);
  for (auto place = places.rbegin(); place != places.rend(); ++place) {
    if (place->gone != nullptr) {
      out.task(place->gone->ref.task);
      out.fixed64(place->gone->ref.frame);
      out.value(encode_physical(*place->top));
    }
    const PlanPaths paths = plan_paths(*place->top);
    const auto path = paths.find(place->plan);
    SLUICE_ENSURE(path != paths.end(), "a frame's plan is below the plan of the frame above");
    out.number(path->second.size());
    for (std::uint32_t step : path->second) out.number(step);
  }
}

void RunMachine::write_undo(StateWriter& out) const {
  std::vector<const Finished*> firsts;  // of each plan
  std::map<std::pair<const PhysicalPlan*, const Admission*>, std::uint64_t> numbers;
  auto plan_of = [](const Finished& finished) {
    return std::pair(finished.plan.get(), finished.admission.get());
  };
  for (const Finished& finished : finished_) {
    if (numbers.emplace(plan_of(finished), firsts.size()).second) firsts.push_back(&finished);
  }
  out.number(firsts.size());
  for (const Finished* first : firsts) {
    write_plan_place(out, first->plan.get(), first->admission.get());
  }
  out.number(finished_.size());
  for (const Finished& finished : finished_) {
    out.number(numbers.at(plan_of(finished)));
    out.call(finished.call);
    out.text(finished.task_id);
    out.value(finished.args);
    out.value(finished.output);
    out.value(finished.wanted);
    out.whole(finished.started_ns);
  }
  out.flag(undoing_.active);
  out.flag(undoing_.calling);
  out.number(undoing_.attempt);
  out.fixed64(undoing_.timer);
  out.byte(static_cast<std::uint8_t>(undoing_.status));
  out.value(undoing_.result);
}

}  // namespace sluice
