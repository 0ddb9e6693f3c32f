// The state of a run from its bytes. They come from a journal: what does not hold together is
// refused, never trusted.

#include <algorithm>
#include <utility>

#include "plan/physical_codec.h"
#include "runtime/machine/machine.h"
#include "runtime/machine/snapshot.h"

namespace sluice {

namespace {

std::unexpected<Error> damaged() {
  return fail(ErrorCode::kJournalDamaged, "the snapshot of the run's state is damaged");
}

void read_heap(StateReader& in, ReadyHeap& heap) {
  std::vector<ReadyKey> keys;
  for (std::size_t left = in.count(); left > 0 && !in.bad(); --left) {
    ReadyKey key;
    key.origin_item = in.number32();
    key.rank = in.number32();
    key.order = in.number();
    key.task = in.task();
    if (in.version() > 2) key.group = in.number();
    keys.push_back(key);
  }
  heap.assign(std::move(keys));
}

void read_values(StateReader& in, std::vector<Value>& values) {
  for (std::size_t left = in.count(); left > 0 && !in.bad(); --left) values.push_back(in.value());
}

WaitBegan read_wait_began(StateReader& in) {
  WaitBegan wait;
  wait.call = in.call();
  wait.signal = in.text();
  wait.until_wall_ns = in.whole();
  wait.has_value = in.flag();
  wait.value = in.value();
  wait.of = in.text();
  wait.ask = in.text();
  return wait;
}

void read_agent(StateReader& in, Task& task) {
  task.agent = std::make_unique<AgentState>();
  read_values(in, task.agent->transcript);
  read_values(in, task.agent->calls);
  read_values(in, task.agent->results);
  task.agent->pending = in.number32();
  if (task.agent->calls.size() != task.agent->results.size()) in.spoil();
}

void read_task(StateReader& in, Task& task) {
  task.round = in.number32();
  task.attempt = in.number32();
  task.turn = in.number16();
  task.running_calls = in.number16();
  for (bool* set : {&task.slot_held, &task.waiting, &task.calling, &task.in_doubt, &task.resumed,
                    &task.timed_out, &task.abandoned}) {
    *set = in.flag();
  }
  task.timer = in.fixed64();
  task.child = in.fixed64();
  task.fallback_for = in.number32();
  task.started_ns = in.whole();
  for (Value* value : {&task.args, &task.plan, &task.previous, &task.output, &task.error_value}) {
    *value = in.value();
  }
  task.error = in.some_error();
  task.path = in.path();
  if (in.flag()) read_agent(in, task);
  if (!in.flag()) return;
  task.wait = std::make_unique<WaitState>();
  task.wait->task_id = in.text();
  task.wait->begun = in.flag();
  task.wait->order = in.number();
  task.wait->since_ns = in.whole();
  task.wait->wait = read_wait_began(in);
}

std::vector<PathPtr> read_paths(WireReader& in, std::uint64_t count) {
  std::vector<PathPtr> paths{nullptr};
  for (; count > 0 && !in.bad(); --count) {
    std::string task_id(in.text());
    const SteadyNs start_ns = in.whole();
    const SteadyNs end_ns = in.whole();
    const std::uint64_t previous = in.number();
    if (previous >= paths.size()) in.spoil();
    if (in.bad()) break;
    paths.push_back(
        std::make_shared<PathNode>(std::move(task_id), start_ns, end_ns, paths[previous]));
  }
  if (!in.at_end()) in.spoil();
  return paths;
}

}  // namespace

PathPtr StateReader::path() {
  const std::uint64_t at = number();
  if (at >= paths_.size()) spoil();
  return bad() ? nullptr : paths_[at];
}

std::unique_ptr<Error> StateReader::some_error() {
  return flag() ? std::make_unique<Error>(error()) : nullptr;
}

void Relation::load(StateReader& in) {
  phase = in.one_of(RelationPhase::kFailed);
  known = in.number32();
  closed = in.flag();
  for (std::uint32_t* count : {&opened, &prefix, &terminal, &failed, &spilled, &first_failed_}) {
    *count = in.number32();
  }
  last_path = in.path();
  error = in.some_error();
  scanned_chunks_ = in.number32();
  for (std::size_t left = in.count(); left > 0 && !in.bad(); --left) {
    const std::uint32_t item = in.number32();
    errors_.insert_or_assign(item, in.error());
  }
  chunks_.resize(in.count());
  for (std::unique_ptr<Chunk>& chunk : chunks_) {
    if (!in.flag()) continue;
    chunk = std::make_unique<Chunk>();
    const std::uint32_t size = in.number32();
    chunk->released = in.number32();
    const std::uint32_t used = in.number32();
    if ((size != 1 && size != kChunkSlots) || used > size) in.spoil();
    if (in.flag()) chunk->paths = std::make_unique<std::array<PathPtr, kChunkSlots>>();
    if (in.bad()) return;
    chunk->slots.resize(size);
    for (std::uint32_t offset = 0; offset < used; ++offset) {
      Slot& slot = chunk->slots[offset];
      slot.status = in.one_of(SlotStatus::kFailed);
      slot.consumed = in.number32();
      slot.value = in.value();
      if (chunk->paths) (*chunk->paths)[offset] = in.path();
    }
  }
  if (opened > known || prefix > known || terminal > known) in.spoil();
  if (scanned_chunks_ > chunks_.size()) in.spoil();
}

Result<void> RunMachine::restore(std::string_view snapshot, const RunState::FindPlan& admitted) {
  WireReader whole(snapshot);
  const std::uint64_t version = whole.number();
  if (version > kSnapshotVersion) {
    return fail(ErrorCode::kJournal, "the snapshot of the run's state is of a newer program");
  }
  const std::uint64_t path_count = whole.number();
  WireReader nodes(whole.text());
  std::vector<PathPtr> paths = read_paths(nodes, path_count);
  StateReader in(whole.text(), version, std::move(paths));
  if (version == 0 || !whole.good_end() || nodes.bad()) return damaged();
  run_id_ = in.text();
  seed_ = in.fixed64();
  now_ = in.whole();
  next_order_ = in.number();
  next_wait_ = in.number();
  running_calls_ = in.number32();
  slots_used_ = in.number32();
  for (bool* set : {&cancelled_, &ended_, &budget_hit_, &doubt_told_}) *set = in.flag();
  failed_tasks_ = in.number();
  for (std::size_t left = in.count(); left > 0 && !in.bad(); --left) errors_.push_back(in.error());
  if (Result<void> read = read_replanned(in); !read) return read;
  for (std::size_t left = in.count(); left > 0 && !in.bad(); --left) {
    if (Result<void> read = read_frame(in, admitted); !read) return read;
  }
  read_queues(in);
  if (Result<void> read = read_undo(in, admitted); !read) return read;
  read_doubts(in);
  if (!in.good_end() || !holds_together()) return damaged();
  return {};
}

Result<void> RunMachine::read_replanned(StateReader& in) {
  if (in.version() < 3) return {};
  for (std::size_t left = in.count(); left > 0 && !in.bad(); --left) {
    StepReplanned replanned;
    replanned.step = in.number32();
    replanned.from_item = in.number32();
    replanned.why = in.text();
    const Value recorded = in.value();
    if (in.bad() || !may_replan(replanned.step)) return damaged();
    const PhysicalPlan& own = *root_plan_->steps[replanned.step].plan;
    Result<PhysicalPlanPtr> plan = decode_physical(recorded, own.logical);
    if (!plan) return std::unexpected(std::move(plan.error()));
    replanned.plan = std::move(*plan);
    replanned_.push_back(std::move(replanned));
  }
  return {};
}

// The plan of a frame below `parent`: the step's own, or one that was admitted.
Result<void> RunMachine::read_frame_plan(StateReader& in, const Frame& parent, Frame& frame,
                                         const RunState::FindPlan& admitted) {
  frame.admission = parent.admission;
  if (in.flag()) {
    frame.plan = plan_of_item(parent, frame.parent.step, frame.parent.item);
    if (!frame.plan) return damaged();
    return {};
  }
  const Value recorded = in.value();
  if (in.bad()) return damaged();
  const PhysicalStep& step = parent.plan->steps[frame.parent.step];
  const AdmissionRef admission{frame.parent, frame.id};
  Result<PhysicalPlanPtr> found = admitted(admission, step, recorded);
  if (!found) return std::unexpected(std::move(found.error()));
  frame.plan = std::move(*found);
  frame.admission =
      std::make_shared<const Admission>(admission, frame.plan, parent.plan, parent.admission);
  Task* caller = find_task(frame.parent);
  if (caller && caller->child == frame.id) caller->admitted = frame.plan;
  return {};
}

Result<void> RunMachine::read_frame(StateReader& in, const RunState::FindPlan& admitted) {
  auto frame = std::make_unique<Frame>();
  frame->id = in.fixed64();
  frame->parent = in.task();
  frame->plan = root_plan_;
  if (in.bad() || frames_.contains(frame->id) || (frames_.empty() != (frame->id == 0))) {
    return damaged();
  }
  const Frame* parent = nullptr;
  if (frame->id != 0) {
    parent = find_frame(frame->parent.frame);
    if (!parent || frame->parent.step >= parent->steps.size()) return damaged();
    if (Result<void> plan = read_frame_plan(in, *parent, *frame, admitted); !plan) return plan;
    frame->depth = parent->depth + 1;
  }
  frame->origin_item = in.number32();
  frame->path_prefix = in.text();
  frame->params = in.value();
  frame->open_steps = in.number32();
  frame->running_calls = in.number32();
  frame->children = in.number32();
  frame->dead = in.flag();
  frame->result_requested = in.flag();
  frame->failed = in.flag();
  frame->first_error = in.some_error();
  if (in.flag()) {
    if (!parent || !parent->plan->steps[frame->parent.step].logical.limits) return damaged();
    frame->limits = &*parent->plan->steps[frame->parent.step].logical.limits;
  }
  frame->tasks_opened = in.number();
  frame->used = in.usage();
  frame->calls = in.number();
  frame->started_ns = in.whole();
  frame->entry_path = in.path();
  frame->last_path = in.path();
  lay_out(*frame);
  for (std::uint32_t step = 0; step < frame->steps.size() && !in.bad(); ++step) {
    read_step(in, *frame, step);
  }
  if (in.bad()) return damaged();
  frames_.emplace(frame->id, std::move(frame));
  return {};
}

void RunMachine::read_step(StateReader& in, Frame& frame, std::uint32_t step) {
  FrameStep& state = frame.steps[step];
  state.relation.load(in);
  state.items = in.value();
  state.items_requested = in.flag();
  state.emit_status = in.one_of(SlotStatus::kFailed);
  state.emitted_since_credit = in.number32();
  state.credit_due = in.flag();
  for (std::uint32_t& edge : state.wholes_ready) edge = in.number32();
  state.running = in.number32();
  read_heap(in, state.parked);
  state.used = in.usage();
  state.calls = in.number();
  state.first_call_ns = in.whole();
  for (std::size_t left = in.count(); left > 0 && !in.bad(); --left) {
    const std::uint32_t item = in.number32();
    auto task = std::make_unique<Task>();
    task->ref = {frame.id, step, item};
    read_task(in, *task);
    if (task->wait && !frame.dead) {
      waits_.insert(call_ref(*task));
      const std::string& signal = task->wait->wait.signal;
      if (task->wait->begun && !signal.empty()) {
        SignalWaits& waits = signals_[signal];
        waits.waiting.emplace(task->wait->order, task->ref);
        waits.by_task.insert_or_assign(task->wait->task_id, task->wait->order);
      }
    }
    const bool known = task->fallback_for == kNoIndex || task->fallback_for < frame.steps.size();
    if (!known) in.spoil();
    state.tasks.insert_or_assign(item, std::move(task));
  }
}

void RunMachine::read_queues(StateReader& in) {
  read_heap(in, ready_);
  for (std::size_t left = in.count(); left > 0 && !in.bad(); --left) {
    auto& [used, parked] = resources_[std::string(in.text())];
    used = in.number32();
    read_heap(in, parked);
  }
  for (std::size_t left = in.count(); left > 0 && !in.bad(); --left) {
    const std::uint64_t id = in.fixed64();
    const TaskRef task = in.task();
    timers_.insert_or_assign(id, Timer{task, in.one_of(TimerUse::kUndo)});
  }
  for (std::size_t left = in.count(); left > 0 && !in.bad(); --left) {
    const TaskRef stream = in.task();
    const Frame* frame = find_frame(stream.frame);
    if (!frame || stream.step >= frame->steps.size()) return in.spoil();
    paused_streams_.insert({stream.frame, stream.step});
  }
  for (std::size_t left = in.count(); left > 0 && !in.bad(); --left) {
    pending_admits_.insert(in.task());
  }
  if (in.version() > 2) {
    for (std::size_t left = in.count(); left > 0 && !in.bad(); --left) {
      const std::uint64_t id = in.number();
      const std::uint32_t origin_item = in.number32();
      groups_.insert_or_assign(id, StartGroup{origin_item, in.number32()});
    }
  }
  for (std::size_t left = in.count(); left > 0 && !in.bad(); --left) {
    SignalReceived signal;
    signal.message = in.number();
    signal.name = in.text();
    signal.task = in.text();
    signal.value = in.value();
    signals_[signal.name].kept.push_back(signal);
  }
}

// The plan below `place` that a path of steps leads to.
static bool follow_path(StateReader& in, PhysicalPlanPtr& place) {
  for (std::size_t left = in.count(); left > 0 && place; --left) {
    const std::uint32_t step = in.number32();
    const bool there = !in.bad() && step < place->steps.size();
    place = there ? PhysicalPlanPtr(place->steps[step].plan) : nullptr;
  }
  return place != nullptr && !in.bad();
}

Result<RunMachine::Finished> RunMachine::read_plan_place(StateReader& in,
                                                         const RunState::FindPlan& admitted) {
  Finished place;
  place.plan = root_plan_;
  if (const std::uint64_t id = in.fixed64(); id != 0) {
    const Frame* frame = find_frame(id);
    if (!frame || !frame->admission) return damaged();
    place.admission = frame->admission;
    place.plan = frame->admission->plan;
  }
  std::size_t gone = in.count();
  if (!follow_path(in, place.plan)) return damaged();
  for (; gone > 0; --gone) {
    AdmissionRef gone_ref{in.task(), 0};
    if (in.version() > 1) gone_ref.frame = in.fixed64();
    const Value recorded = in.value();
    const std::uint32_t step = gone_ref.task.step;
    if (in.bad() || step >= place.plan->steps.size()) return damaged();
    Result<PhysicalPlanPtr> plan = admitted(gone_ref, place.plan->steps[step], recorded);
    if (!plan) return std::unexpected(std::move(plan.error()));
    place.admission =
        std::make_shared<const Admission>(gone_ref, *plan, place.plan, place.admission);
    place.plan = std::move(*plan);
    if (!follow_path(in, place.plan)) return damaged();
  }
  return place;
}

Result<void> RunMachine::read_undo(StateReader& in, const RunState::FindPlan& admitted) {
  std::vector<Finished> plans;
  for (std::size_t left = in.count(); left > 0 && !in.bad(); --left) {
    Result<Finished> plan = read_plan_place(in, admitted);
    if (!plan) return std::unexpected(std::move(plan.error()));
    plans.push_back(std::move(*plan));
  }
  for (std::size_t left = in.count(); left > 0 && !in.bad(); --left) {
    const std::uint64_t plan = in.number();
    if (plan >= plans.size()) return damaged();
    Finished finished = plans[plan];
    finished.call = in.call();
    finished.task_id = in.text();
    finished.args = in.value();
    finished.output = in.value();
    finished.wanted = in.value();
    finished.started_ns = in.whole();
    if (in.bad() || finished.call.task.step >= finished.plan->steps.size()) return damaged();
    finished.step = &finished.plan->steps[finished.call.task.step];
    finished_.push_back(std::move(finished));
  }
  undoing_.active = in.flag();
  undoing_.calling = in.flag();
  undoing_.attempt = in.number16();
  undoing_.timer = in.fixed64();
  undoing_.status = in.one_of(RunStatus::kBudgetSpent);
  undoing_.result = in.value();
  return {};
}

void RunMachine::read_doubts(StateReader& in) {
  for (std::size_t left = in.count(); left > 0 && !in.bad(); --left) {
    const CallRef call = in.call();
    std::string task_id(in.text());
    Error error = in.error();
    const PhysicalStep* step = find_step(call.task);
    if (!step) return in.spoil();
    doubts_.insert_or_assign(
        call, OpenDoubt{std::move(task_id), std::move(error), step, find_plan(call.task)});
  }
}

// Whether what refers to something else finds it.
bool RunMachine::holds_together() const {
  if (ended_) return true;
  if (undoing_.active && (finished_.empty() || frames_.empty())) return false;
  return std::all_of(timers_.begin(), timers_.end(), [&](const auto& timer) {
    return timer.second.use != TimerUse::kUndo || undoing_.active;
  });
}

}  // namespace sluice
