#include "simulate/limit_watch.h"

#include <fmt/format.h>

namespace sluice {

std::string LimitWatch::begin(const StartCall& start) {
  // A model's tool calls and what undoes a call take other places than those of the steps.
  if (start.undo || start.call.call != 0) return "";
  calls_[start.call] = {start.step, start.streaming};
  std::uint32_t in_run = 0, in_step = 0, in_resource = 0;
  for (const auto& [ref, call] : calls_) {
    in_run += call.streaming ? 0 : 1;
    in_step += call.step == start.step && ref.task.frame == start.call.task.frame ? 1 : 0;
    in_resource += call.step->resource == start.step->resource ? 1 : 0;
    if (ref != start.call && ref.task == start.call.task) {
      return fmt::format("two calls of {} at once", start.task_id);
    }
  }
  const auto& of_step = start.step->logical.concurrency;
  if (in_run > concurrency_) return fmt::format("{} calls of the run at once", in_run);
  if (of_step && in_step > *of_step) {
    return fmt::format("{} calls of step {} at once", in_step, start.step->logical.id);
  }
  if (start.step->resource_limit > 0 && in_resource > start.step->resource_limit) {
    return fmt::format("{} calls of {} at once", in_resource, start.step->resource);
  }
  return "";
}

void LimitWatch::end(const CallRef& call) { calls_.erase(call); }

}  // namespace sluice
