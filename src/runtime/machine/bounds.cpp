// What evaluated expressions lead to.

#include <fmt/format.h>

#include "base/ensure.h"
#include "runtime/machine/machine.h"

namespace sluice {

void RunMachine::on_bound(Bound& bound) {
  SLUICE_ENSURE(pending_binds_ > 0, "a bind was answered twice");
  --pending_binds_;
  Frame* frame = find_frame(bound.task.frame);
  if (!frame || frame->dead || ended_) return;
  std::uint32_t step = bound.task.step;
  switch (bound.purpose) {
    case BindPurpose::kResult:
      return on_result_bound(*frame, bound);
    case BindPurpose::kItems:
      return on_items_bound(*frame, step, bound);
    case BindPurpose::kWhen:
      if (bound.error) {
        // on_error belongs to the call; what it reads may not even be there yet.
        return finish_slot(*frame, step, bound.task.item, SlotStatus::kFailed, Value(),
                           std::make_unique<Error>(std::move(*bound.error)),
                           latest_input_path(*frame, step, bound.task.item));
      }
      if (!bound.holds) {
        return finish_slot(*frame, step, bound.task.item, SlotStatus::kSkipped, Value(), nullptr,
                           latest_input_path(*frame, step, bound.task.item));
      }
      set_task_status(*frame, step, bound.task.item, SlotStatus::kWaitingBody);
      return advance(*frame, step, bound.task.item);
    case BindPurpose::kBody:
    case BindPurpose::kProducedPlan:
      return on_body_bound(*frame, step, bound);
    case BindPurpose::kUntil: {
      Task* task = find_task(bound.task);
      if (!task) return;
      if (bound.error) return apply_on_error(*frame, *task, std::move(*bound.error));
      return round_ended(*frame, *task, bound.holds);
    }
    case BindPurpose::kOnError: {
      Task* task = find_task(bound.task);
      if (!task) return;
      if (bound.error) {
        return end_task(*frame, *task, SlotStatus::kFailed, Value(),
                        std::make_unique<Error>(std::move(*bound.error)));
      }
      return end_task(*frame, *task, SlotStatus::kDone, std::move(bound.value), nullptr);
    }
  }
}

void RunMachine::on_items_bound(Frame& frame, std::uint32_t step, Bound& bound) {
  FrameStep& state = frame.steps[step];
  if (bound.error) {
    return finish_whole(frame, step, RelationPhase::kFailed,
                        std::make_unique<Error>(std::move(*bound.error)));
  }
  state.items = std::move(bound.value);
  state.relation.phase = RelationPhase::kOpen;
  grow(frame, step, bound.count, true);
}

// The body has been evaluated: a value step is done, anything else is ready to be called.
void RunMachine::on_body_bound(Frame& frame, std::uint32_t step, Bound& bound) {
  const PhysicalStep& physical = frame.plan->steps[step];
  std::uint32_t item = bound.task.item;
  Task* known = find_task(bound.task);
  bool has_rule =
      physical.logical.on_error && physical.logical.on_error->kind != OnErrorRule::Kind::kFail;
  if (bound.error) {
    if (known) return apply_on_error(frame, *known, std::move(*bound.error));
    if (has_rule) {
      return apply_on_error(frame, add_task(frame, step, item), std::move(*bound.error));
    }
    return finish_slot(frame, step, item, SlotStatus::kFailed, Value(),
                       std::make_unique<Error>(std::move(*bound.error)),
                       latest_input_path(frame, step, item));
  }
  bool plain = physical.logical.op == OperatorKind::kValue;
  if (plain && !known && !physical.logical.repeat) {
    return finish_slot(frame, step, item, SlotStatus::kDone, std::move(bound.value), nullptr,
                       latest_input_path(frame, step, item));
  }
  Task& task = known ? *known : add_task(frame, step, item);
  if (plain) return task_succeeded(frame, task, std::move(bound.value));
  if (bound.purpose == BindPurpose::kProducedPlan) {
    SLUICE_ENSURE(bound.value.is_array() && bound.value.items().size() == 2,
                  "a produced plan binds to [plan, with]");
    task.plan = bound.value.items()[0];
    task.args = bound.value.items()[1];
  } else {
    task.args = std::move(bound.value);
  }
  if (physical.logical.op == OperatorKind::kWait) return ready_to_wait(frame, task);
  make_ready(frame, task, bound.group);
}

void RunMachine::on_result_bound(Frame& frame, Bound& bound) {
  frame_result(frame, std::move(bound.value), std::move(bound.error));
}

}  // namespace sluice
