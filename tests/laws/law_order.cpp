#include "tests/laws/law_order.h"

#include <algorithm>
#include <map>

namespace sluice::laws {
namespace {

using Task = std::pair<std::uint32_t, std::uint32_t>;  // (step, item) of one frame

// The calls of at least that effect that a task made, itself or in its sub-plan.
std::map<Task, std::vector<std::string>> calls_by_task(const LawRun& run, const LawFrame& frame,
                                                       Effect least) {
  std::map<std::string, std::uint32_t> steps;
  for (std::uint32_t i = 0; i < frame.steps.size(); ++i) steps[frame.steps[i].id] = i;
  std::map<Task, std::vector<std::string>> found;
  for (const LawCall& call : run.calls) {
    if (world_effect(call) < least || !call.task.starts_with(frame.prefix)) continue;
    const std::string rest = call.task.substr(frame.prefix.size());
    auto step = steps.find(root_step(rest));
    if (step == steps.end()) continue;
    std::uint32_t item = 0;
    if (rest.size() > step->first.size() && rest[step->first.size()] == '[') {
      item = static_cast<std::uint32_t>(std::stoul(rest.substr(step->first.size() + 1)));
    }
    auto& tasks = found[{step->second, item}];
    if (std::ranges::find(tasks, call.task) == tasks.end()) tasks.push_back(call.task);
  }
  return found;
}

class FrameOrder {
 public:
  FrameOrder(const LawRun& run, const LawFrame& frame)
      : frame_(frame),
        effects_(calls_by_task(run, frame, Effect::kIdempotent)),
        seeing_(calls_by_task(run, frame, Effect::kRead)) {}

  void collect(std::vector<Waited>& into) {
    for (const auto& [task, calls] : seeing_) {
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
  // Whether the task went on to its body, for which it needs all of its inputs.
  bool ran(const Task& task) const { return ended(task, TraceKind::kTaskDone); }
  bool ended(const Task& task, TraceKind how) const {
    auto known = frame_.tasks.find(task);
    return known != frame_.tasks.end() && known->second == how;
  }

  // Whether the task has waited for what it reads there. A skipped one has looked at its items, and
  // at what its condition reads; of one without a condition everything has ended.
  bool has_waited(const Task& task, const LawFrame::Read& read) const {
    if (ran(task)) return true;
    if (!ended(task, TraceKind::kTaskSkipped)) return false;
    return read.use != EdgeUse::kBody || !frame_.steps[task.first].conditional;
  }

  // All that a task had waited for when it ended, also through others.
  const std::set<Task>& waited_for(const Task& task) {
    auto known = waited_.find(task);
    if (known != waited_.end()) return known->second;
    std::set<Task> all;
    for (const LawFrame::Read& read : frame_.steps[task.first].reads) {
      if (!has_waited(task, read)) continue;
      for (const Task& before : tasks_of(read.from, read.mode, task.second)) {
        all.insert(before);
        const std::set<Task> further = waited_for(before);
        all.insert(further.begin(), further.end());
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
  std::map<Task, std::vector<std::string>> seeing_;  // those that read, too
  std::map<Task, std::set<Task>> waited_;
};

}  // namespace

Effect world_effect(const LawCall& call) {
  return call.what.starts_with("llm ") ? Effect::kPure : call.effect;
}

std::set<std::string> with_all_behind(const LawRun& run, std::set<std::string> from) {
  auto root = run.frames.find(0);
  if (root == run.frames.end()) return from;
  const std::vector<LawFrame::Step>& steps = root->second.steps;
  for (std::size_t before = from.size() + 1; before != from.size();) {
    before = from.size();
    for (const LawFrame::Step& step : steps) {
      const bool reads = std::ranges::any_of(
          step.reads, [&](const auto& read) { return from.contains(steps[read.from].id); });
      const bool stands_in =
          step.stands_in_for != kNoIndex && from.contains(steps[step.stands_in_for].id);
      if (reads || stands_in) from.insert(step.id);
    }
  }
  return from;
}

std::set<std::string> touched_steps(const LawRun& run) { return with_all_behind(run, run.failed); }

std::set<std::string> held_up_steps(const LawRun& written, const LawRun& optimized) {
  std::set<std::string> skipped;  // steps of which a task failed, and is skipped now
  auto was = written.frames.find(0), is = optimized.frames.find(0);
  if (was == written.frames.end() || is == optimized.frames.end()) return {};
  for (const auto& [task, kind] : was->second.tasks) {
    if (kind != TraceKind::kTaskFailed) continue;
    const std::string& id = was->second.steps[task.first].id;
    const auto& steps = is->second.steps;
    const auto now = std::ranges::find(steps, id, &LawFrame::Step::id);
    const auto same = static_cast<std::uint32_t>(now - steps.begin());
    auto ended = is->second.tasks.find({same, task.second});
    const bool skips = ended != is->second.tasks.end() && ended->second == TraceKind::kTaskSkipped;
    if (now != steps.end() && skips) skipped.insert(id);
  }
  std::set<std::string> held_up;
  for (const LawFrame::Step& step : was->second.steps) {
    const bool waits = std::ranges::any_of(step.reads, [&](const LawFrame::Read& read) {
      const bool order = read.mode == EdgeMode::kOrder || read.mode == EdgeMode::kStatus;
      return order && skipped.contains(was->second.steps[read.from].id);
    });
    if (waits) held_up.insert(step.id);
  }
  return with_all_behind(written, std::move(held_up));
}

std::vector<Waited> waits_between_effects(const LawRun& run) {
  std::vector<Waited> all;
  for (const auto& [id, frame] : run.frames) FrameOrder(run, frame).collect(all);
  return all;
}

}  // namespace sluice::laws
