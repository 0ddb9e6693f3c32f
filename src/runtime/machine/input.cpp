// What the expressions of a task read.

#include <optional>

#include "plan/task_id.h"
#include "runtime/list_item.h"
#include "runtime/machine/machine.h"

namespace sluice {

namespace {

Value status_word(const Relation& relation) {
  switch (relation.phase) {
    case RelationPhase::kSkipped:
      return Value::string("skipped");
    case RelationPhase::kFailed:
      return Value::string("failed");
    default:
      return Value::string("done");
  }
}

// One value for a whole relation: its only slot's, or an array of all slots.
Value whole_value(const Frame& frame, std::uint32_t step, const Value* failed_fill) {
  const Relation& relation = frame.steps[step].relation;
  bool many = frame.plan->steps[step].mapped || frame.index->steps[step].emits;
  if (relation.phase == RelationPhase::kSkipped) return Value();
  return many ? relation.whole(failed_fill) : relation.value(0);
}

bool slot_of(const Relation& relation, std::uint32_t item, SlotStatus status) {
  return item < relation.known && relation.status(item) == status;
}

}  // namespace

// For `item` of a flowing for_each; a bound list has no edge in the place of its items.
EdgeFill RunMachine::item_fill(const TaskRef& task) const {
  const Frame& frame = *frames_.at(task.frame);
  std::uint32_t edge = frame.plan->steps[task.step].items_edge;
  if (edge == kNoIndex || frame.steps[task.step].items_requested) return EdgeFill::kNone;
  return edge_fill(task, edge);
}

EdgeFill RunMachine::edge_fill(const TaskRef& task, std::uint32_t index) const {
  const Frame& frame = *frames_.at(task.frame);
  const Edge& edge = frame.plan->steps[task.step].edges[index];
  const Relation& relation = frame.steps[edge.from].relation;
  if (relation.phase == RelationPhase::kSkipped) return EdgeFill::kSkipped;
  if (edge.mode == EdgeMode::kSlot && (!relation.error || task.item < relation.known)) {
    if (slot_of(relation, task.item, SlotStatus::kSkipped)) return EdgeFill::kSkipped;
    if (slot_of(relation, task.item, SlotStatus::kFailed)) return EdgeFill::kFailed;
    return EdgeFill::kNone;
  }
  return relation.phase == RelationPhase::kFailed ? EdgeFill::kFailed : EdgeFill::kNone;
}

Value RunMachine::filled_input(const TaskRef& task, std::uint32_t index, const Value& fill) const {
  const Frame& frame = *frames_.at(task.frame);
  const Edge& edge = frame.plan->steps[task.step].edges[index];
  const Relation& relation = frame.steps[edge.from].relation;
  bool slots = frame.plan->steps[edge.from].mapped && edge.mode == EdgeMode::kWhole &&
               relation.phase == RelationPhase::kFailed && !relation.error;
  return slots ? whole_value(frame, edge.from, &fill) : fill;
}

Result<Value> RunMachine::input(const TaskRef& task, const StepInput& input) const {
  const Frame& frame = *frames_.at(task.frame);
  const PhysicalStep& step = frame.plan->steps[task.step];
  auto record = frame.steps[task.step].tasks.find(task.item);
  const Task* open = record == frame.steps[task.step].tasks.end() ? nullptr : record->second.get();
  switch (input.source) {
    case InputSource::kParam: {
      const Value* found = frame.params.find(input.param);
      return found ? *found : Value();
    }
    case InputSource::kRunId:
      return Value::string(run_id_);
    case InputSource::kIndex:
      return Value::integer(task.item);
    case InputSource::kItem: {
      std::uint32_t owner = open && open->fallback_for != kNoIndex ? open->fallback_for : task.step;
      const PhysicalStep& physical = frame.plan->steps[owner];
      const FrameStep& state = frame.steps[owner];
      if (state.items_requested || physical.items_edge == kNoIndex) {
        return task.item < state.items.size() && state.items.is_array()
                   ? list_item(state.items, task.item)
                   : Value();
      }
      return frame.steps[physical.edges[physical.items_edge].from].relation.value(task.item);
    }
    case InputSource::kRound:
      return Value::integer(open && open->round > 0 ? open->round : 1);
    case InputSource::kPrevious:
      return open ? open->previous : Value();
    case InputSource::kOutput:
      return open ? open->output : Value();
    case InputSource::kError:
      return open ? open->error_value : Value();
    case InputSource::kEdge: {
      const Edge& edge = step.edges[input.edge];
      if (edge.mode == EdgeMode::kSlot) return frame.steps[edge.from].relation.value(task.item);
      return whole_value(frame, edge.from, nullptr);
    }
    case InputSource::kStatus:
      return status_word(frame.steps[step.edges[input.edge].from].relation);
  }
  return fail(ErrorCode::kInternal, "an input of an unknown source");
}

Value RunMachine::result_input(std::uint64_t frame_id, const StepInput& input) const {
  const Frame& frame = *frames_.at(frame_id);
  switch (input.source) {
    case InputSource::kParam: {
      const Value* found = frame.params.find(input.param);
      return found ? *found : Value();
    }
    case InputSource::kRunId:
      return Value::string(run_id_);
    case InputSource::kEdge:
      return whole_value(frame, frame.plan->result_edges[input.edge].from, nullptr);
    case InputSource::kStatus:
      return status_word(frame.steps[frame.plan->result_edges[input.edge].from].relation);
    default:
      return Value();
  }
}

bool RunMachine::has_spilled(const TaskRef& task, const StepInput& input) const {
  if (input.source != InputSource::kEdge) return false;
  const Frame& frame = *frames_.at(task.frame);
  return frame.steps[frame.plan->steps[task.step].edges[input.edge].from].relation.spilled > 0;
}

// A call that is undone may be of a frame that has gone.
PhysicalPlanPtr RunMachine::find_plan(const TaskRef& task) const {
  if (auto found = frames_.find(task.frame); found != frames_.end()) return found->second->plan;
  for (auto finished = finished_.rbegin(); finished != finished_.rend(); ++finished) {
    if (finished->call.task == task) return finished->plan;
  }
  return nullptr;
}

const PhysicalStep* RunMachine::find_step(const TaskRef& task) const {
  const PhysicalPlanPtr plan = find_plan(task);
  return plan && task.step < plan->steps.size() ? &plan->steps[task.step] : nullptr;
}

std::string RunMachine::task_id(const TaskRef& task) const {
  auto found = frames_.find(task.frame);
  if (found == frames_.end()) return {};
  const Frame& frame = *found->second;
  const PhysicalStep& step = frame.plan->steps[task.step];
  bool fallback = step.fallback_of != kNoIndex && frame.plan->steps[step.fallback_of].mapped;
  std::optional<std::uint64_t> item;
  if ((step.mapped || fallback) && task.item != kNoIndex) item = task.item;
  return frame.path_prefix + task_name(step.logical_ids.front(), item);
}

}  // namespace sluice
