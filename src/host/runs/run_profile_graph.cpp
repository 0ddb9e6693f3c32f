// The realized graph: a node for each task, joins for what reads all of a step or all of a plan.
// What a task waited for follows from the plan's edges: the slot of an edge that flows, the join of
// all tasks of a step otherwise, and the begin of its sub-plan where it reads nothing.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "host/runs/run_profile_impl.h"

namespace sluice {
namespace {

class GraphBuilder {
 public:
  GraphBuilder(const RunProfileFold::Impl& seen, RunProfile& into) : seen_(seen), into_(into) {}

  void build() {
    graph_.begin_ns = into_.start_ns;
    for (const StepProfile& step : into_.steps) graph_.steps.push_back(step.id);
    number_rows();
    order_frames();
    run_pool_ = pool_of("run", seen_.root->shape->concurrency, true);
    add_tasks();
    add_streams();
    add_joins();
    link_all();
    tell_waiting();
    for (std::uint32_t task : realized_path(graph_)) {
      const RealizedTask& node = graph_.tasks[task];
      if (node.step != kNoTask && node.end_ns > node.start_ns) into_.critical.push_back(task);
    }
    into_.realized = std::move(graph_);
    into_.labels = std::move(labels_);
  }

 private:
  struct PlanTask {
    std::uint32_t begin = kNoTask, end = kNoTask;
    std::vector<std::uint64_t> frames;  // in order
  };

  void number_rows() {
    std::vector<const StepProfile*> rows;
    collect_rows(*seen_.root, rows);
    for (std::uint32_t row = 0; row < rows.size(); ++row) rows_[rows[row]] = row;
  }

  void order_frames() {
    for (const auto& [id, frame] : seen_.frames) {
      if (frame.kept) frames_.push_back(&frame);
    }
    std::ranges::sort(frames_, {}, &ProfileFrame::order);
    for (const ProfileFrame* frame : frames_) {
      if (frame->id != 0) inner_frames_[frame->caller.task].push_back(frame->id);
    }
  }

  const ProfileFrame& frame(std::uint64_t id) const { return seen_.frames.at(id); }
  const TracedStep& shape(const TaskRef& task) const {
    return frame(task.frame).place->shape->steps[task.step];
  }
  std::string label(const TaskRef& task) const {
    const ProfileFrame& of = frame(task.frame);
    const TracedStep& step = shape(task);
    const bool many = step.mapped || step.emits;
    return of.label + step.id + (many ? fmt::format("[{}]", task.item) : "");
  }

  std::uint32_t add_node(std::uint32_t row, SteadyNs start, SteadyNs end, std::string name) {
    RealizedTask task;
    task.step = row;
    task.start_ns = start;
    task.end_ns = std::max(start, end);
    graph_.tasks.push_back(std::move(task));
    labels_.push_back(std::move(name));
    waits_.push_back(false);
    return static_cast<std::uint32_t>(graph_.tasks.size() - 1);
  }
  std::uint32_t row_of(const TaskRef& task) const {
    return rows_.at(frame(task.frame).place->rows[task.step]);
  }

  // ---- places

  // In a sample each task stands for `one_of`, so its pool has as many fewer places; below one
  // place its tasks hold it longer instead.
  std::uint32_t add_pool(std::string name, std::uint32_t places, bool sampled) {
    PlacePool pool{std::move(name), places, 1};
    if (sampled && places > 0 && into_.one_of > 1) {
      pool.places = (places + into_.one_of - 1) / into_.one_of;
      pool.stretch = static_cast<double>(pool.places) * into_.one_of / places;
    }
    graph_.pools.push_back(std::move(pool));
    return static_cast<std::uint32_t>(graph_.pools.size() - 1);
  }
  std::uint32_t pool_of(const std::string& name, std::uint32_t places, bool sampled) {
    auto found = pools_.find(name);
    if (found == pools_.end()) found = pools_.emplace(name, add_pool(name, places, sampled)).first;
    return found->second;
  }

  std::vector<std::uint32_t> pools_for(const TaskRef& task) {
    const ProfileFrame& of = frame(task.frame);
    const TracedStep& step = shape(task);
    std::vector<std::uint32_t> taken;
    if (step.concurrency > 0) {
      auto [found, is_new] = step_pools_.try_emplace({task.frame, task.step}, 0);
      if (is_new) {
        found->second =
            add_pool("step " + of.place->prefix + step.id, step.concurrency, of.origin == kNoIndex);
      }
      taken.push_back(found->second);
    }
    if (!step.resource.empty()) {
      taken.push_back(pool_of(step.resource, step.resource_limit, true));
    }
    const bool holds = step.op != OperatorKind::kPlan && step.op != OperatorKind::kWait &&
                       step.op != OperatorKind::kValue && !step.emits;
    if (holds) taken.push_back(run_pool_);
    return taken;
  }

  // ---- nodes

  void add_tasks() {
    std::vector<std::tuple<std::uint64_t, TaskRef, const TaskRecord*>> order;
    order.reserve(seen_.tasks.size());
    for (const auto& [task, record] : seen_.tasks) {
      order.emplace_back(frame(task.frame).order, task, &record);
    }
    std::ranges::sort(order, [](const auto& a, const auto& b) {
      return std::tie(std::get<0>(a), std::get<1>(a)) < std::tie(std::get<0>(b), std::get<1>(b));
    });
    for (const auto& [unused, task, record] : order) add_task(task, *record);
  }

  void add_task(const TaskRef& task, const TaskRecord& record) {
    const SteadyNs end = record.end_ns == 0 ? into_.end_ns : record.end_ns;
    if (shape(task).op == OperatorKind::kPlan) return add_plan_task(task, record, end);
    const std::uint32_t node =
        add_node(row_of(task), record.start_ns, own_end(task, end), label(task));
    if (record.started) {
      graph_.tasks[node].pools = pools_for(task);
      waits_[node] = true;
    }
    ends_[task] = node;
    of_step_[{task.frame, task.step}].push_back(node);
    nodes_.push_back({node, task});
  }

  // The end of a task is that of its fallback; its own work ended when that began.
  SteadyNs own_end(const TaskRef& task, SteadyNs end) const {
    const std::uint32_t fallback = shape(task).fallback;
    if (fallback == kNoIndex) return end;
    auto standin = seen_.tasks.find({task.frame, fallback, task.item});
    return standin == seen_.tasks.end() ? end : std::min(end, standin->second.start_ns);
  }

  // From its begin to its end it holds its places; between them lies its plan.
  void add_plan_task(const TaskRef& task, const TaskRecord& record, SteadyNs end) {
    auto inner = inner_frames_.find(task);
    const bool opaque = inner == inner_frames_.end();
    const std::uint32_t begin =
        add_node(row_of(task), record.start_ns, opaque ? end : record.start_ns, label(task));
    PlanTask made{begin, begin, {}};
    if (!opaque) {
      made.frames = inner->second;
      made.end = add_node(kNoTask, end, end, "");
      graph_.tasks[begin].held_until = made.end;
    }
    if (record.started) {
      graph_.tasks[begin].pools = pools_for(task);
      waits_[begin] = true;
      if (!opaque) into_.steps[row_of(task)].working_ns += end - record.start_ns;
    }
    ends_[task] = made.end;
    of_step_[{task.frame, task.step}].push_back(made.end);
    nodes_.push_back({begin, task});
    plan_tasks_.emplace(task, std::move(made));
  }

  // A chain: its begin, which holds its places, an item after the other, its end.
  void add_streams() {
    for (const auto& [key, stream] : seen_.streams) {
      const TaskRef task{key.first, key.second, 0};
      const std::uint32_t row = row_of(task);
      const std::uint32_t begin = add_node(row, stream.begin_ns, stream.begin_ns, "");
      graph_.tasks[begin].pools = pools_for(task);
      waits_[begin] = true;
      nodes_.push_back({begin, task});
      std::uint32_t last = begin;
      for (const auto& [item, at] : stream.items) {
        const TaskRef slot{key.first, key.second, item};
        const std::uint32_t node = add_node(row, graph_.tasks[last].end_ns, at, label(slot));
        graph_.tasks[node].after = {last};
        ends_[slot] = node;
        last = node;
      }
      const SteadyNs end = stream.end_ns == 0 ? into_.end_ns : stream.end_ns;
      const std::uint32_t closed = add_node(row, graph_.tasks[last].end_ns, end, "");
      graph_.tasks[closed].after = {last};
      graph_.tasks[begin].held_until = closed;
      of_step_[key].push_back(closed);
    }
  }

  void add_joins() {
    for (const ProfileFrame* of : frames_) {
      for (std::uint32_t step = 0; step < of->place->shape->steps.size(); ++step) {
        joins_[{of->id, step}] = add_node(kNoTask, 0, 0, "");
      }
    }
    for (auto& [task, plan] : plan_tasks_) {
      for (std::size_t at = 0; at < plan.frames.size(); ++at) {
        const bool last = at + 1 == plan.frames.size();
        frame_ends_[plan.frames[at]] = last ? plan.end : add_node(kNoTask, 0, 0, "");
        frame_begins_[plan.frames[at]] = at == 0 ? plan.begin : frame_ends_.at(plan.frames[at - 1]);
      }
    }
  }

  // ---- edges

  void add_begin(std::uint64_t of, std::vector<std::uint32_t>& after) const {
    auto begin = frame_begins_.find(of);
    if (begin != frame_begins_.end()) after.push_back(begin->second);
  }

  void add_slot(const TaskRef& slot, std::vector<std::uint32_t>& after) const {
    auto found = ends_.find(slot);
    if (found == ends_.end()) {
      after.push_back(joins_.at({slot.frame, slot.step}));
      return;
    }
    after.push_back(found->second);
    const std::uint32_t fallback = shape(slot).fallback;
    if (fallback == kNoIndex) return;
    auto standin = ends_.find({slot.frame, fallback, slot.item});
    if (standin != ends_.end()) after.push_back(standin->second);
  }

  std::vector<std::uint32_t> inputs_of(const TaskRef& task, bool of_slot) const {
    std::vector<std::uint32_t> after;
    const TracedStep& step = shape(task);
    for (const TracedStep::Input& input : step.inputs) {
      if (input.slot && of_slot) {
        add_slot({task.frame, input.from, task.item}, after);
      } else {
        after.push_back(joins_.at({task.frame, input.from}));
      }
    }
    if (step.fallback_of != kNoIndex) {
      auto owner = ends_.find({task.frame, step.fallback_of, task.item});
      if (owner != ends_.end()) after.push_back(owner->second);
    }
    if (after.empty()) add_begin(task.frame, after);
    std::ranges::sort(after);
    const auto repeated = std::ranges::unique(after);
    after.erase(repeated.begin(), repeated.end());
    return after;
  }

  void link_all() {
    for (const auto& [node, task] : nodes_) graph_.tasks[node].after = inputs_of(task, true);
    for (const ProfileFrame* of : frames_) {
      for (std::uint32_t step = 0; step < of->place->shape->steps.size(); ++step) {
        link_join(*of, step);
      }
    }
    for (const ProfileFrame* of : frames_) link_frame_end(*of);
  }

  void link_join(const ProfileFrame& of, std::uint32_t step) {
    const FrameStepKey key{of.id, step};
    std::vector<std::uint32_t> after;
    if (auto found = of_step_.find(key); found != of_step_.end()) after = found->second;
    const std::uint32_t fallback = of.place->shape->steps[step].fallback;
    if (auto standins = of_step_.find({of.id, fallback}); standins != of_step_.end()) {
      after.insert(after.end(), standins->second.begin(), standins->second.end());
    }
    if (after.empty() && of.place->shape->steps[step].fallback_of == kNoIndex) {
      after = inputs_of({of.id, step, 0}, false);
    }
    RealizedTask& join = graph_.tasks[joins_.at(key)];
    SteadyNs at = into_.start_ns;
    for (std::uint32_t before : after) at = std::max(at, graph_.tasks[before].end_ns);
    if (auto whole = seen_.whole_ends.find(key); whole != seen_.whole_ends.end()) {
      at = std::max(at, whole->second);
    }
    join.start_ns = join.end_ns = at;
    join.after = std::move(after);
  }

  void link_frame_end(const ProfileFrame& of) {
    auto end = frame_ends_.find(of.id);
    if (end == frame_ends_.end()) return;
    std::vector<std::uint32_t> after{frame_begins_.at(of.id)};
    SteadyNs at = graph_.tasks[after.front()].end_ns;
    for (std::uint32_t step = 0; step < of.place->shape->steps.size(); ++step) {
      if (of.place->shape->steps[step].fallback_of != kNoIndex) continue;
      after.push_back(joins_.at({of.id, step}));
      at = std::max(at, graph_.tasks[after.back()].end_ns);
    }
    RealizedTask& node = graph_.tasks[end->second];
    if (node.end_ns == 0) node.start_ns = node.end_ns = at;  // of an attempt or a round
    node.after = std::move(after);
  }

  // ---- per step

  // The graph may hold a part of a step's tasks; waiting and working are told for all.
  void tell_waiting() {
    std::map<std::uint32_t, std::int64_t> waiting, working, kept;
    std::set<std::uint32_t> streams;  // their one call is always in the graph
    const std::vector<std::int64_t> ready = ready_times(graph_);
    for (const auto& [node, task] : nodes_) {
      const RealizedTask& made = graph_.tasks[node];
      ++kept[made.step];
      if (!waits_[node]) continue;
      waiting[made.step] += made.start_ns - ready[node];
      if (shape(task).emits) {
        streams.insert(made.step);
      } else {
        working[made.step] += made.end_ns - made.start_ns;
      }
    }
    for (const auto& [row, count] : kept) {
      StepProfile& step = into_.steps[row];
      const std::int64_t all = static_cast<std::int64_t>(step.tasks);
      const bool sampled = into_.one_of > 1 && all > count && !streams.contains(row);
      auto scaled = [&](std::int64_t ns) {
        if (!sampled) return ns;
        return static_cast<std::int64_t>(static_cast<double>(ns) * static_cast<double>(all) /
                                         static_cast<double>(count));
      };
      step.waiting_ns = scaled(waiting[row]);
      step.working_ns = scaled(step.working_ns + working[row]);
    }
  }

  const RunProfileFold::Impl& seen_;
  RunProfile& into_;
  RealizedRun graph_;
  std::vector<std::string> labels_;
  std::vector<bool> waits_;  // by node: its waiting counts
  std::unordered_map<const StepProfile*, std::uint32_t> rows_;
  std::vector<const ProfileFrame*> frames_;
  std::unordered_map<TaskRef, std::vector<std::uint64_t>, TaskRefHash> inner_frames_;
  std::map<std::string, std::uint32_t> pools_;
  std::map<FrameStepKey, std::uint32_t> step_pools_;
  std::uint32_t run_pool_ = 0;
  std::vector<std::pair<std::uint32_t, TaskRef>> nodes_;  // those whose inputs follow from edges
  std::unordered_map<TaskRef, std::uint32_t, TaskRefHash> ends_;
  std::map<TaskRef, PlanTask> plan_tasks_;
  std::map<FrameStepKey, std::vector<std::uint32_t>> of_step_;  // ends of its tasks
  std::map<FrameStepKey, std::uint32_t> joins_;
  std::map<std::uint64_t, std::uint32_t> frame_begins_, frame_ends_;
};

}  // namespace

void build_realized_graph(const RunProfileFold::Impl& seen, RunProfile& into) {
  GraphBuilder(seen, into).build();
}

}  // namespace sluice
