// Ends of slots and relations, and who is told.

#include <fmt/format.h>

#include <algorithm>

#include "runtime/list_item.h"
#include "runtime/machine/machine.h"

namespace sluice {

namespace {
constexpr std::size_t kErrorsKept = 20;
constexpr std::uint32_t kToldEvery = 64;
}  // namespace

// More items are known, or it is known that no more will come.
void RunMachine::grow(Frame& frame, std::uint32_t step, std::uint32_t known, bool closed) {
  Relation& relation = frame.steps[step].relation;
  if (relation.finished()) return;
  bool news = known != relation.known || closed != relation.closed;
  relation.known = std::max(relation.known, known);
  relation.closed = relation.closed || closed;
  if (news) {
    // A flow grows item by item; a sink wants to hear of it now and then.
    bool tell = relation.closed || relation.known % kToldEvery == 0 || relation.known < 2;
    if (trace_ && tell) {
      TraceEvent event;
      event.at = now_;
      event.kind = TraceKind::kItemsKnown;
      event.call.task = {frame.id, step, 0};
      event.set_step(*frame.plan, step);
      event.count = relation.known;
      event.closed = relation.closed;
      trace_->on_trace(event);
    }
    push(WorkKind::kOpen, frame.id, step);
    for (std::uint32_t consumer : frame.index->steps[step].slot_consumers) {
      push(WorkKind::kConsider, frame.id, consumer);
      if (relation.closed) push(WorkKind::kAdvanceAll, frame.id, consumer);
    }
  }
  check_relation(frame, step);
}

// What the task's `when` gave, from how far the task had come before it ends as `end`. A skip while
// something was bound, without an error, is that of a condition; with one it is on_error's.
ConditionOutcome RunMachine::condition_of(const Frame& frame, std::uint32_t step,
                                          std::uint32_t item, SlotStatus end, bool failed) const {
  if (!frame.plan->steps[step].when) return ConditionOutcome::kNone;
  switch (task_status(frame, step, item)) {
    case SlotStatus::kBinding:
      if (end == SlotStatus::kSkipped && !failed) return ConditionOutcome::kFalse;
      // Either evaluation may have failed.
      return end == SlotStatus::kDone ? ConditionOutcome::kHeld : ConditionOutcome::kNone;
    case SlotStatus::kWaitingBody:
    case SlotStatus::kActive:
      return ConditionOutcome::kHeld;
    default:
      return ConditionOutcome::kNone;
  }
}

void RunMachine::finish_slot(Frame& frame, std::uint32_t step, std::uint32_t item,
                             SlotStatus status, Value value, std::unique_ptr<Error> error,
                             PathPtr path) {
  Relation& relation = frame.steps[step].relation;
  const PlanIndex::StepIndex& index = frame.index->steps[step];
  if (index.emits) {
    return finish_stream(frame, step, status, std::move(value), std::move(error), std::move(path));
  }
  TaskRef task{frame.id, step, item};
  TraceKind kind = status == SlotStatus::kDone      ? TraceKind::kTaskDone
                   : status == SlotStatus::kSkipped ? TraceKind::kTaskSkipped
                                                    : TraceKind::kTaskFailed;
  trace_task(kind, frame, task, &value, error.get(),
             condition_of(frame, step, item, status, error != nullptr));
  if (error) {
    if (status == SlotStatus::kFailed) note_failure(frame, task, *error);
    // A skipped slot is read as skipped: why is told in the trace.
    if (status != SlotStatus::kSkipped) relation.set_slot_error(item, std::move(*error));
  }
  if (path) frame.last_path = later_path(path, frame.last_path);
  std::uint32_t prefix_before = relation.prefix;
  relation.finish(item, status, std::move(value), std::move(path));
  for (std::uint32_t producer : index.slot_producers) {
    frame.steps[producer].relation.consume(item);
  }
  for (std::uint32_t consumer : index.slot_consumers) {
    bool standin = frame.plan->steps[consumer].fallback_of != kNoIndex;
    if (standin || item < frame.steps[consumer].relation.opened) {
      push(WorkKind::kAdvance, frame.id, consumer, item);
    }
  }
  if (relation.prefix != prefix_before) {
    // Reopening in halves of a window keeps this off the path of every item.
    std::uint32_t low_water = frame.plan->window / 2;
    auto reopen = [&](std::uint32_t producer) {
      const Relation& upstream = frame.steps[producer].relation;
      if (upstream.opened < upstream.known && upstream.opened <= relation.prefix + low_water) {
        push(WorkKind::kOpen, frame.id, producer);
      }
      if (frame.steps[producer].credit_due) push(WorkKind::kOpen, frame.id, producer);
    };
    reopen(step);
    for (std::uint32_t producer : index.windowed_producers) reopen(producer);
    if (index.in_order) push(WorkKind::kAdvance, frame.id, step, relation.prefix);
  }
  check_relation(frame, step);
}

// The end of a stream's one task: its items are slots of their own and have ended already.
void RunMachine::finish_stream(Frame& frame, std::uint32_t step, SlotStatus status, Value value,
                               std::unique_ptr<Error> error, PathPtr path) {
  Relation& relation = frame.steps[step].relation;
  set_task_status(frame, step, 0, status);
  relation.last_path = later_path(path, relation.last_path);
  if (path) frame.last_path = later_path(path, frame.last_path);
  if (status == SlotStatus::kFailed) {
    return finish_whole(frame, step, RelationPhase::kFailed, std::move(error));
  }
  if (status == SlotStatus::kSkipped && relation.known == 0) {
    return finish_whole(frame, step, RelationPhase::kSkipped, nullptr);
  }
  // on_error's value in the place of a stream that gave nothing: its items are the slots.
  std::uint32_t items = relation.known == 0 && value.is_array()
                            ? static_cast<std::uint32_t>(value.items().size())
                            : 0;
  relation.known += items;
  for (std::uint32_t item = 0; item < items; ++item) {
    relation.finish(item, SlotStatus::kDone, list_item(value, item), nullptr);
  }
  relation.opened = relation.known;
  grow(frame, step, relation.known, true);
}

SlotStatus RunMachine::task_status(const Frame& frame, std::uint32_t step,
                                   std::uint32_t item) const {
  const FrameStep& state = frame.steps[step];
  return frame.index->steps[step].emits ? state.emit_status : state.relation.status(item);
}

void RunMachine::set_task_status(Frame& frame, std::uint32_t step, std::uint32_t item,
                                 SlotStatus status) {
  if (frame.index->steps[step].emits) {
    frame.steps[step].emit_status = status;
  } else {
    frame.steps[step].relation.set_status(item, status);
  }
}

// Lets a paused stream go on once its consumers have room.
void RunMachine::give_credit(Frame& frame, std::uint32_t step) {
  FrameStep& state = frame.steps[step];
  if (!state.credit_due || state.relation.known >= open_limit(frame, step)) return;
  resume_stream(frame, step);
}

void RunMachine::resume_stream(Frame& frame, std::uint32_t step) {
  FrameStep& state = frame.steps[step];
  auto found = state.tasks.find(0);
  state.credit_due = false;
  paused_streams_.erase({frame.id, step});
  if (found == state.tasks.end() || !found->second->calling || found->second->in_doubt) return;
  emit(ResumeCall{call_ref(*found->second)});
}

// A step that never gets tasks: skipped or failed as a whole.
void RunMachine::finish_whole(Frame& frame, std::uint32_t step, RelationPhase phase,
                              std::unique_ptr<Error> error) {
  Relation& relation = frame.steps[step].relation;
  if (relation.finished()) return;
  TaskRef task{frame.id, step, kNoIndex};
  trace_task(phase == RelationPhase::kSkipped ? TraceKind::kTaskSkipped : TraceKind::kTaskFailed,
             frame, task, nullptr, error.get());
  if (error) note_failure(frame, task, *error);
  relation.error = std::move(error);
  relation.closed = true;
  relation.phase = phase;
  tell_consumers_whole(frame, step);
  if (--frame.open_steps == 0) push(WorkKind::kFrameEnd, frame.id);
}

// Ends the relation once every slot has ended and no more will come.
void RunMachine::check_relation(Frame& frame, std::uint32_t step) {
  Relation& relation = frame.steps[step].relation;
  if (!relation.closed || relation.terminal != relation.known || relation.finished()) return;
  if (relation.phase == RelationPhase::kPending) return;
  if (relation.failed > 0 || relation.error) {
    relation.phase = RelationPhase::kFailed;
  } else if (!frame.plan->steps[step].mapped && !frame.index->steps[step].emits &&
             relation.status(0) == SlotStatus::kSkipped) {
    relation.phase = RelationPhase::kSkipped;
  } else {
    relation.phase = RelationPhase::kDone;
  }
  tell_consumers_whole(frame, step);
  if (frame.plan->steps[step].fallback_of != kNoIndex) return;
  if (--frame.open_steps == 0) push(WorkKind::kFrameEnd, frame.id);
}

void RunMachine::tell_consumers_whole(Frame& frame, std::uint32_t step) {
  for (std::uint32_t consumer : frame.plan->steps[step].consumers) {
    push(WorkKind::kConsider, frame.id, consumer);
    push(WorkKind::kAdvanceAll, frame.id, consumer);
  }
  // A consumer that has ended no longer holds its producers back.
  for (std::uint32_t producer : frame.index->steps[step].windowed_producers) {
    push(WorkKind::kOpen, frame.id, producer);
  }
}

void RunMachine::note_failure(Frame& frame, const TaskRef& task, const Error& error) {
  ++failed_tasks_;
  frame.failed = true;
  if (error.code() == ErrorCode::kBudgetSpent) budget_hit_ = true;
  // What merely follows from another failure is not listed beside it. Without a cause it follows
  // from a skipped input that the join does not forgive.
  if (error.code() == ErrorCode::kInputFailed && error.cause() != nullptr) return;
  std::string name = task_id(task);
  if (!frame.first_error) {
    frame.first_error =
        std::make_unique<Error>(Error(ErrorCode::kStepFailed, fmt::format("step {} failed", name),
                                      frame.plan->steps[task.step].logical.pos)
                                    .with_cause(error));
  }
  if (frame.id == 0 && errors_.size() < kErrorsKept) {
    errors_.push_back(Error(ErrorCode::kStepFailed, fmt::format("step {} failed", name),
                            frame.plan->steps[task.step].logical.pos)
                          .with_cause(error));
  }
}

void RunMachine::trace_task(TraceKind kind, const Frame& frame, const TaskRef& task,
                            const Value* value, const Error* error, ConditionOutcome condition) {
  if (!trace_) return;
  TraceEvent event;
  event.at = now_;
  event.kind = kind;
  event.call.task = task;
  event.set_step(*frame.plan, task.step);
  event.value = value;
  event.error = error;
  event.condition = condition;
  trace_->on_trace(event);
}

void RunMachine::trace_call(TraceKind kind, const Frame& frame, const CallRef& call,
                            const Usage& usage, const Error* error, bool cached,
                            CallReturned::From from) {
  if (!trace_) return;
  TraceEvent event;
  event.at = now_;
  event.kind = kind;
  event.call = call;
  event.set_step(*frame.plan, call.task.step);
  event.usage = usage;
  event.error = error;
  event.cached = cached;
  event.from = from;
  trace_->on_trace(event);
}

}  // namespace sluice
