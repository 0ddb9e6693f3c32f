// Doubt: a call that left and of which nobody knows whether it happened. It stays open, without the
// places that it held, until it is settled by its real end or made again. A frame that was cut off
// stays with it.

#include "runtime/machine/machine.h"

namespace sluice {

void RunMachine::call_in_doubt(Frame& frame, Task& task, const CallEnded& ended,
                               const Error& error) {
  if (doubts_.contains(ended.call)) return;
  charge(frame, ended.call.task.step, ended.usage, 0);
  trace_call(TraceKind::kCallEnded, frame, ended.call, ended.usage, &error, false);
  OpenDoubt doubt{call_name(task, ended.call.call), error, &frame.plan->steps[ended.call.task.step],
                  frame.plan};
  trace_doubt(TraceKind::kTaskInDoubt, ended.call, doubt, &error, Usage{});
  doubts_.emplace(ended.call, std::move(doubt));
  doubt_told_ = false;
  if (ended.call.call > 0) return;
  task.in_doubt = true;
  release_slot(frame, task);
  paused_streams_.erase({task.ref.frame, task.ref.step});
}

// It has been settled (`error`: as a failure), or it is made again.
void RunMachine::end_doubt(const CallRef& call, const Error* error, const Usage& usage) {
  auto found = doubts_.find(call);
  if (found == doubts_.end()) return;
  OpenDoubt doubt = std::move(found->second);
  doubts_.erase(found);
  doubt_told_ = false;
  trace_doubt(TraceKind::kDoubtEnded, call, doubt, error, usage);
}

void RunMachine::on_call_resumed(const CallResumed& resumed) {
  const CallRef& call = resumed.call;
  if (!doubts_.contains(call)) return;
  end_doubt(call, nullptr, Usage{});
  if (call.undoes()) {
    --running_calls_;
    return start_undo();
  }
  Frame* frame = find_frame(call.task.frame);
  Task* task = find_task(call.task);
  if (!frame || !task) return;
  --task->running_calls;
  --frame->running_calls;
  --running_calls_;
  if (call.call == 0) task->in_doubt = task->calling = false;
  if (frame->dead || task->abandoned) {
    // Nobody wants it any more: it counts as not having happened.
    if (task->running_calls == 0) drop_task(*frame, *task);
    return;
  }
  if (call.call > 0) return start_tool_call(*frame, *task, call.call);
  task->resumed = true;
  make_ready(*frame, *task);
}

std::vector<RunState::Doubt> RunMachine::doubts() const {
  std::vector<RunState::Doubt> all;
  all.reserve(doubts_.size());
  for (const auto& [call, doubt] : doubts_) all.push_back({call, doubt.task_id, doubt.error});
  return all;
}

void RunMachine::trace_doubt(TraceKind kind, const CallRef& call, const OpenDoubt& doubt,
                             const Error* error, const Usage& usage) {
  if (!trace_) return;
  TraceEvent event;
  event.at = now_;
  event.kind = kind;
  event.call = call;
  event.step = doubt.step;
  event.plan = doubt.plan.get();
  event.usage = usage;
  event.error = error;
  trace_->on_trace(event);
}

}  // namespace sluice
