#include "cost/run_time.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace sluice {
namespace {

// A part of a task counts as that part of its time.
double part_of_task(const CostNode& node) { return std::min(1.0, node.asked_in_run); }

// An instant is the same however late one begins to wait for it.
bool waits_until(const CostNode& node) {
  const Step& step = node.step->logical;
  return step.op == OperatorKind::kWait && step.wait.find("until") != nullptr;
}

// How many calls of one resource follow each other on the longest path: what the number of its
// calls is divided by to know how many of them run beside each other.
class CallDepth {
 public:
  CallDepth(const CostTree& tree, std::uint32_t resource)
      : tree_(tree), resource_(resource), of_frames_(tree.frames.size(), 0) {}

  double find() {
    for (std::size_t frame = tree_.frames.size(); frame-- > 0;) {
      of_frames_[frame] = of_frame(tree_.frames[frame]);
    }
    return of_frames_.empty() ? 0 : of_frames_.front();
  }

 private:
  double of_frame(const CostFrame& frame) {
    std::vector<double> behind(frame.nodes.size(), 0);
    double deepest = 0;
    for (std::size_t i = 0; i < frame.nodes.size(); ++i) {
      const CostNode& node = tree_.nodes[frame.nodes[i]];
      double before = 0;
      for (const Edge& edge : node.step->edges) before = std::max(before, behind[edge.from]);
      behind[i] = before + own(node);
      deepest = std::max(deepest, behind[i]);
    }
    return deepest;
  }

  double own(const CostNode& node) const {
    if (node.child != kNoIndex) return of_frames_[node.child] * node.rows.rounds;
    if (node.resource != resource_) return 0;
    return node.rows.calls_per_task.middle * part_of_task(node);
  }

  const CostTree& tree_;
  std::uint32_t resource_;
  std::vector<double> of_frames_;
};

class RunTimer {
 public:
  explicit RunTimer(CostTree& tree) : tree_(tree) {}

  RunTime find() {
    for (std::uint32_t i = 0; i < tree_.resources.size(); ++i) widths_.push_back(width(i));
    for (std::uint32_t i = 0; i < tree_.nodes.size(); ++i) add_work(i);
    times_.resize(tree_.nodes.size());
    for (std::size_t frame = tree_.frames.size(); frame-- > 0;) {
      end_sub_plans(tree_.frames[frame]);
      span(tree_.frames[frame]);
      stage(tree_.frames[frame]);
    }
    for (const CostFrame& frame : tree_.frames) go_on_behind(frame);
    if (!tree_.frames.empty()) mark(tree_.frames.front());
    return of_run();
  }

 private:
  struct NodeTime {
    double alone_s = 0;  // one task, or the part of one that there is
    double start_s = 0;
    double end_s = 0;
    std::uint32_t before = kNoIndex;  // the step that it waited for last
  };

  // ---- work ----
  // How many calls of the resource run at once.
  double width(std::uint32_t number) const {
    const CostResource& resource = tree_.resources[number];
    const double depth = CallDepth(tree_, number).find();
    const double beside = depth > 0 ? resource.calls / depth : 1;
    return std::clamp(beside, 1.0, resource.parallel);
  }

  void add_work(std::uint32_t number) {
    CostNode& node = tree_.nodes[number];
    const StepEstimate& step = tree_.steps[number];
    if (node.resource == kNoIndex) {
      const OperatorKind op = node.step->logical.op;
      if (op == OperatorKind::kValue) node.total_s = step.task_s.middle * node.rows.asked.middle;
      // Those that wait hold nobody up: all are over with the longest.
      if (op == OperatorKind::kWait)
        node.total_s = step.task_s.high * std::min(1.0, node.rows.asked.middle);
      return;
    }
    CostResource& resource = tree_.resources[node.resource];
    if (resource.batches()) {
      node.work_s = batched_s(node, step, *resource.model->instance);
      node.total_s = node.work_s;
    } else {
      node.work_s = step.calls.middle * step.call_s.middle;
      node.total_s = node.work_s / std::min(node.places, resource.parallel);
    }
    resource.work_s += node.work_s;
  }

  // The seconds of a whole engine: prompts one after the other, the front that they share once,
  // answers side by side.
  double batched_s(const CostNode& node, const StepEstimate& step, const InstanceCost& cost) const {
    if (step.calls.middle <= 0) return 0;
    const double beside = std::min(widths_[node.resource], node.places);
    const std::uint64_t prompt = whole_tokens(step.prompt_tokens.middle);
    const std::uint64_t front =
        step.calls.middle > 1 ? std::min(whole_tokens(node.prefix_tokens), prompt) : 0;
    const auto others = static_cast<std::uint32_t>(std::llround(beside)) - 1;
    const double call =
        cost.prefill_s(front, prompt - front) +
        cost.decode_s(prompt, whole_tokens(step.completion_tokens.middle), others) / (others + 1.0);
    return step.calls.middle * call + (front > 0 ? cost.prefill_s(0, front) : 0);
  }

  // ---- paths ----
  // What the sub-plans of a frame's steps take is known now: callees come behind their callers.
  void end_sub_plans(const CostFrame& frame) {
    for (std::uint32_t number : frame.nodes) {
      CostNode& node = tree_.nodes[number];
      if (node.child == kNoIndex) continue;
      const CostFrame& child = tree_.frames[node.child];
      const double seconds = child.span_s * node.rows.rounds;
      tree_.steps[number].task_s = {seconds, seconds, seconds, EstimateSource::kDefault};
      node.total_s = least_of(child);
    }
  }

  // The least for all runs of a frame, with all resources for themselves.
  double least_of(const CostFrame& frame) const {
    std::map<std::uint32_t, double> work;
    std::vector<const CostFrame*> open{&frame};
    double least = 0;
    while (!open.empty()) {
      const CostFrame& next = *open.back();
      open.pop_back();
      for (std::uint32_t number : next.nodes) {
        const CostNode& node = tree_.nodes[number];
        if (node.child != kNoIndex) open.push_back(&tree_.frames[node.child]);
        if (node.resource != kNoIndex) work[node.resource] += node.work_s;
        least = std::max(least, node.total_s);
      }
    }
    for (const auto& [resource, seconds] : work) {
      least = std::max(least, seconds / places_of(tree_.resources[resource]));
    }
    return least;
  }

  static double places_of(const CostResource& resource) {
    return resource.batches() ? 1 : resource.parallel;
  }

  // Upward rank: the task itself and the longest way on from it.
  void span(CostFrame& frame) {
    for (std::size_t i = frame.nodes.size(); i-- > 0;) {
      StepEstimate& step = tree_.steps[frame.nodes[i]];
      double on = 0;
      for (std::uint32_t consumer : tree_.nodes[frame.nodes[i]].step->consumers) {
        on = std::max(on, tree_.steps[frame.nodes[consumer]].remaining_s);
      }
      step.remaining_s = step.task_s.middle + on;
      frame.span_s = std::max(frame.span_s, step.remaining_s);
    }
    for (std::uint32_t number : frame.nodes) {
      const std::uint32_t owner = tree_.nodes[number].step->fallback_of;
      if (owner == kNoIndex) continue;
      double& own = tree_.steps[number].remaining_s;
      own = std::max(own, tree_.steps[frame.nodes[owner]].remaining_s);
    }
  }

  // One run of the frame with whole lists: a reader of a list starts when all of it is there, one
  // of slots when the first is, and ends one task after the last of it.
  void stage(CostFrame& frame) {
    const double share = frame.runs > 0 ? 1 / frame.runs : 0;
    for (std::uint32_t number : frame.nodes) {
      const CostNode& node = tree_.nodes[number];
      NodeTime& time = times_[number];
      const double task = node.child == kNoIndex
                              ? tree_.steps[number].task_s.middle
                              : tree_.frames[node.child].stage_s * node.rows.rounds;
      time.alone_s = task * part_of_task(node);
      double all = std::max(time.alone_s, node.total_s * share);
      std::uint32_t last_slot = kNoIndex;
      double slot_end = 0;
      for (const Edge& edge : node.step->edges) {
        const NodeTime& from = times_[frame.nodes[edge.from]];
        const bool slots = edge.mode == EdgeMode::kSlot;
        const bool stream = slots && !tree_.nodes[frame.nodes[edge.from]].step->mapped;
        const double begins = !slots ? from.end_s : from.start_s + (stream ? 0 : from.alone_s);
        if (begins > time.start_s || time.before == kNoIndex) {
          time.start_s = std::max(time.start_s, begins);
          time.before = edge.from;
        }
        if (slots && from.end_s + time.alone_s > slot_end) {
          slot_end = from.end_s + time.alone_s;
          last_slot = edge.from;
        }
      }
      if (frame.caller == kNoIndex && waits_until(node)) {
        all = std::max(0.0, all - time.start_s);
        time.alone_s = std::min(time.alone_s, all);
      }
      time.end_s = time.start_s + all;
      if (slot_end > time.end_s) {
        time.end_s = slot_end;
        time.before = last_slot;
      }
      frame.stage_s = std::max(frame.stage_s, time.end_s);
    }
  }

  // Inside of a sub-plan the plan goes on behind its caller.
  void go_on_behind(const CostFrame& frame) {
    if (frame.caller == kNoIndex) return;
    const StepEstimate& caller = tree_.steps[frame.caller];
    const double behind = std::max(0.0, caller.remaining_s - caller.task_s.middle);
    for (std::uint32_t number : frame.nodes) tree_.steps[number].remaining_s += behind;
  }

  // The path that ends last, and within the sub-plans on it theirs.
  void mark(const CostFrame& frame) {
    std::uint32_t at = kNoIndex;
    for (std::uint32_t i = 0; i < frame.nodes.size(); ++i) {
      const bool later =
          at == kNoIndex || times_[frame.nodes[i]].end_s > times_[frame.nodes[at]].end_s;
      if (later) at = i;
    }
    while (at != kNoIndex) {
      const std::uint32_t number = frame.nodes[at];
      tree_.steps[number].critical = true;
      const std::uint32_t child = tree_.nodes[number].child;
      if (child != kNoIndex) mark(tree_.frames[child]);
      at = times_[number].before;
    }
  }

  RunTime of_run() const {
    RunTime time;
    if (tree_.frames.empty()) return time;
    const CostFrame& root = tree_.frames.front();
    time.least_s = std::max(root.stage_s, least_of(root));
    double bottleneck_s = 0;
    double width = 1;
    for (std::uint32_t i = 0; i < tree_.resources.size(); ++i) {
      const double seconds = tree_.resources[i].work_s / places_of(tree_.resources[i]);
      if (seconds <= bottleneck_s) continue;
      bottleneck_s = seconds;
      width = widths_[i];
    }
    // With an instant to wait for, what comes before that is in the span twice.
    const bool instant = std::ranges::any_of(
        root.nodes, [this](std::uint32_t number) { return waits_until(tree_.nodes[number]); });
    const double span_s = instant ? std::min(root.span_s, root.stage_s) : root.span_s;
    time.listed_s = std::max(time.least_s, bottleneck_s + (1 - 1 / width) * span_s);
    return time;
  }

  CostTree& tree_;
  std::vector<double> widths_;  // of resources
  std::vector<NodeTime> times_;
};

}  // namespace

RunTime time_of_run(CostTree& tree) { return RunTimer(tree).find(); }

}  // namespace sluice
