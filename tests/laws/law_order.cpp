#include "tests/laws/law_order.h"

#include <algorithm>
#include <map>

namespace sluice::laws {
namespace {

using Task = std::pair<std::uint32_t, std::uint32_t>;  // (step, item) of one frame

// The calls with an effect that a task made, itself or in its sub-plan.
std::map<Task, std::vector<std::string>> effects_by_task(const LawRun& run, const LawFrame& frame) {
  std::map<std::string, std::uint32_t> steps;
  for (std::uint32_t i = 0; i < frame.steps.size(); ++i) steps[frame.steps[i].id] = i;
  std::map<Task, std::vector<std::string>> effects;
  for (const LawCall& call : run.calls) {
    if (call.effect < Effect::kIdempotent || !call.task.starts_with(frame.prefix)) continue;
    const std::string rest = call.task.substr(frame.prefix.size());
    auto step = steps.find(root_step(rest));
    if (step == steps.end()) continue;
    std::uint32_t item = 0;
    if (rest.size() > step->first.size() && rest[step->first.size()] == '[') {
      item = static_cast<std::uint32_t>(std::stoul(rest.substr(step->first.size() + 1)));
    }
    auto& tasks = effects[{step->second, item}];
    if (std::ranges::find(tasks, call.task) == tasks.end()) tasks.push_back(call.task);
  }
  return effects;
}

class FrameOrder {
 public:
  FrameOrder(const LawRun& run, const LawFrame& frame)
      : frame_(frame), effects_(effects_by_task(run, frame)) {}

  void collect(std::vector<Waited>& into) {
    for (const auto& [task, calls] : effects_) {
      if (!ran(task)) continue;
      for (const Task& before : waited_for(task)) {
        auto earlier = effects_.find(before);
        if (earlier == effects_.end()) continue;
        for (const std::string& first : earlier->second) {
          for (const std::string& second : calls) into.push_back({first, second});
        }
      }
    }
  }

 private:
  // Whether the task went on to its body, for which it needs all of its inputs: a skipped one may
  // have looked at none of them.
  bool ran(const Task& task) const {
    auto ended = frame_.tasks.find(task);
    return ended != frame_.tasks.end() && ended->second == TraceKind::kTaskDone;
  }

  // All that a task that ran had waited for, also through others that ran.
  const std::set<Task>& waited_for(const Task& task) {
    auto known = waited_.find(task);
    if (known != waited_.end()) return known->second;
    std::set<Task> all;
    if (ran(task)) {
      for (const auto& [from, mode] : frame_.steps[task.first].reads) {
        for (const Task& before : tasks_of(from, mode, task.second)) {
          all.insert(before);
          const std::set<Task> further = waited_for(before);
          all.insert(further.begin(), further.end());
        }
      }
    }
    return waited_[task] = std::move(all);
  }

  std::vector<Task> tasks_of(std::uint32_t step, EdgeMode mode, std::uint32_t item) const {
    if (mode == EdgeMode::kSlot && frame_.steps[step].mapped) return {{step, item}};
    std::vector<Task> tasks;
    // A stream's single call gives all of its slots.
    if (mode == EdgeMode::kSlot) return tasks;
    for (const auto& [task, kind] : frame_.tasks) {
      if (task.first == step) tasks.push_back(task);
    }
    return tasks;
  }

  const LawFrame& frame_;
  std::map<Task, std::vector<std::string>> effects_;
  std::map<Task, std::set<Task>> waited_;
};

}  // namespace

std::set<std::string> touched_steps(const LawRun& run) {
  std::set<std::string> touched = run.failed;
  auto root = run.frames.find(0);
  if (root == run.frames.end()) return touched;
  const std::vector<LawFrame::Step>& steps = root->second.steps;
  for (std::size_t before = touched.size() + 1; before != touched.size();) {
    before = touched.size();
    for (const LawFrame::Step& step : steps) {
      const bool reads = std::ranges::any_of(
          step.reads, [&](const auto& read) { return touched.contains(steps[read.first].id); });
      const bool stands_in =
          step.stands_in_for != kNoIndex && touched.contains(steps[step.stands_in_for].id);
      if (reads || stands_in) touched.insert(step.id);
    }
  }
  return touched;
}

std::vector<Waited> waits_between_effects(const LawRun& run) {
  std::vector<Waited> all;
  for (const auto& [id, frame] : run.frames) FrameOrder(run, frame).collect(all);
  return all;
}

}  // namespace sluice::laws
