// Opening tasks, and deciding from the edges whether a task may go on.

#include <fmt/format.h>

#include <algorithm>

#include "runtime/machine/machine.h"

namespace sluice {

namespace {

const std::string& name_of(const Frame& frame, std::uint32_t step) {
  return frame.plan->steps[step].logical_ids.front();
}

// A relation that failed as a whole, rather than in some of its slots.
bool failed_whole(const Relation& relation) {
  return relation.phase == RelationPhase::kFailed && relation.error != nullptr;
}

}  // namespace

PlanIndex::PlanIndex(PhysicalPlanPtr of) : steps(of->steps.size()), plan(std::move(of)) {
  auto add_once = [](std::vector<std::uint32_t>& list, std::uint32_t step) {
    if (std::find(list.begin(), list.end(), step) == list.end()) list.push_back(step);
  };
  for (std::uint32_t reader = 0; reader < plan->steps.size(); ++reader) {
    const PhysicalStep& step = plan->steps[reader];
    for (const Edge& edge : step.edges) {
      StepIndex& producer = steps[edge.from];
      if (edge.mode == EdgeMode::kWhole) producer.whole_readers = true;
      if (edge.mode != EdgeMode::kSlot) continue;
      add_once(producer.slot_consumers, reader);
      steps[reader].slot_producers.push_back(edge.from);
      if (edge.windowed) {
        add_once(producer.windowed_consumers, reader);
        add_once(steps[reader].windowed_producers, edge.from);
      }
    }
    steps[reader].in_order = step.mapped && step.logical.concurrency == 1u;
  }
  for (const Edge& edge : plan->result_edges) {
    if (edge.mode == EdgeMode::kWhole) steps[edge.from].whole_readers = true;
  }
  for (std::uint32_t step = 0; step < plan->steps.size(); ++step) {
    steps[step].emits = plan->steps[step].streams && !plan->steps[step].mapped &&
                        !steps[step].slot_consumers.empty();
  }
}

// Whether the tasks of a step can be known, or how many more there are now.
void RunMachine::consider(Frame& frame, std::uint32_t step) {
  FrameStep& state = frame.steps[step];
  Relation& relation = state.relation;
  const PhysicalStep& physical = frame.plan->steps[step];
  if (relation.finished() || physical.fallback_of != kNoIndex) return;
  if (!physical.mapped) {
    if (relation.phase != RelationPhase::kPending) return;
    relation.phase = RelationPhase::kOpen;
    if (!frame.index->steps[step].emits) return grow(frame, step, 1, true);
    push(WorkKind::kOpen, frame.id, step);
    return;
  }
  if (state.items_requested) return;
  bool flows = physical.items_edge != kNoIndex;
  if (flows) {
    const Edge& edge = physical.edges[physical.items_edge];
    const Relation& source = frame.steps[edge.from].relation;
    bool lost = source.phase == RelationPhase::kSkipped || failed_whole(source);
    if (source.phase == RelationPhase::kPending) return;
    if (!lost || relation.phase == RelationPhase::kOpen) {
      relation.phase = RelationPhase::kOpen;
      // A stream that broke off: what has come is worked off, the rest will never come.
      if (failed_whole(source) && !relation.error) {
        relation.error = std::make_unique<Error>(
            Error(ErrorCode::kInputFailed,
                  fmt::format("its input {} failed", name_of(frame, edge.from)))
                .with_cause(*source.error));
      }
      grow(frame, step, source.known, source.closed || source.finished());
      return;
    }
  }
  Joined joined = flows ? join_edge(frame, physical, physical.edges[physical.items_edge], 0)
                        : join_edges(frame, step, 0, EdgeUse::kItems);
  switch (joined.ready) {
    case Ready::kNotYet:
      return;
    case Ready::kSkip:
      return finish_whole(frame, step, RelationPhase::kSkipped, nullptr);
    case Ready::kFail:
      return finish_whole(frame, step, RelationPhase::kFailed, std::move(joined.error));
    case Ready::kGo:
      state.items_requested = true;
      bind({frame.id, step, 0}, BindPurpose::kItems);
  }
}

// How far tasks may be opened: a window ahead of the step's own first open task, and of every
// consumer that reads slot by slot.
std::uint32_t RunMachine::open_limit(const Frame& frame, std::uint32_t step) const {
  std::uint64_t window = std::max<std::uint32_t>(frame.plan->window, 1);
  std::uint64_t limit = frame.steps[step].relation.prefix + window;
  for (std::uint32_t consumer : frame.index->steps[step].windowed_consumers) {
    const Relation& relation = frame.steps[consumer].relation;
    if (!relation.finished()) limit = std::min(limit, relation.prefix + window);
  }
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(limit, kNoIndex));
}

void RunMachine::open_more(Frame& frame, std::uint32_t step) {
  Relation& relation = frame.steps[step].relation;
  if (relation.phase != RelationPhase::kOpen) return;
  if (frame.index->steps[step].emits) {
    if (task_status(frame, step, 0) != SlotStatus::kUnopened) return give_credit(frame, step);
    set_task_status(frame, step, 0, SlotStatus::kWaiting);
    return advance(frame, step, 0);
  }
  while (relation.opened < relation.known && relation.opened < open_limit(frame, step)) {
    std::uint32_t item = relation.opened++;
    relation.set_status(item, SlotStatus::kWaiting);
    if (over_task_limit(frame)) {
      finish_slot(frame, step, item, SlotStatus::kFailed, Value(),
                  std::make_unique<Error>(ErrorCode::kBudgetSpent,
                                          "the produced plan may have no more tasks"),
                  nullptr);
      continue;
    }
    advance(frame, step, item);
  }
}

// Counts one task against every produced plan that it is inside of.
bool RunMachine::over_task_limit(Frame& frame) {
  bool over = false;
  for (Frame* above = &frame; above;
       above = above->id == 0 ? nullptr : find_frame(above->parent.frame)) {
    if (above->limits && ++above->tasks_opened > above->limits->tasks) over = true;
  }
  return over;
}

RunMachine::Joined RunMachine::join_edge(const Frame& frame, const PhysicalStep& step,
                                         const Edge& edge, std::uint32_t item) const {
  const Relation& relation = frame.steps[edge.from].relation;
  bool finished = relation.finished();
  bool skipped = relation.phase == RelationPhase::kSkipped;
  bool failed = relation.phase == RelationPhase::kFailed;
  const Error* cause = nullptr;
  // What a stream gave before it broke off is as good as ever.
  bool gone = failed_whole(relation) && item >= relation.known;
  if (edge.mode == EdgeMode::kSlot && !skipped && !gone) {
    if (item >= relation.known) {
      if (!relation.closed) return {Ready::kNotYet, nullptr};
      return {Ready::kFail,
              std::make_unique<Error>(
                  ErrorCode::kExprUndefined,
                  fmt::format("steps.{0}.output[index]: index is {1}, but {0} has {2} items",
                              name_of(frame, edge.from), item, relation.known))};
    }
    SlotStatus status = relation.status(item);
    finished = is_terminal(status);
    skipped = status == SlotStatus::kSkipped;
    failed = status == SlotStatus::kFailed;
    cause = relation.slot_error(item);
  }
  if (!finished) return {Ready::kNotYet, nullptr};
  if (edge.mode == EdgeMode::kStatus) return {};
  if (edge.mode == EdgeMode::kOrder) skipped = false;
  if (!skipped && !failed) return {};
  const JoinAction& action = skipped ? edge.join.skipped : edge.join.failed;
  if (edge.mode == EdgeMode::kOrder || action.kind == JoinAction::Kind::kFail) {
    if (!cause && failed) cause = relation.first_error();
    Error error(ErrorCode::kInputFailed,
                fmt::format("its input {} {}", name_of(frame, edge.from),
                            skipped ? "was skipped" : "failed"),
                step.logical.pos);
    if (cause) error = error.with_cause(*cause);
    return {Ready::kFail, std::make_unique<Error>(std::move(error))};
  }
  if (action.kind == JoinAction::Kind::kSkip) return {Ready::kSkip, nullptr};
  return {};
}

// Whether every whole step that the use waits for has ended.
bool RunMachine::wholes_ready(Frame& frame, std::uint32_t step, EdgeUse use) const {
  const std::vector<Edge>& edges = frame.plan->steps[step].edges;
  std::uint32_t& next = frame.steps[step].wholes_ready[static_cast<std::size_t>(use)];
  for (; next < edges.size(); ++next) {
    const Edge& edge = edges[next];
    if (edge.use != use || edge.mode == EdgeMode::kSlot) continue;
    if (!frame.steps[edge.from].relation.finished()) return false;
  }
  return true;
}

// A failure outranks a skip, and either is only decided once every edge of the use is there.
RunMachine::Joined RunMachine::join_edges(Frame& frame, std::uint32_t step, std::uint32_t item,
                                          EdgeUse use) const {
  const PhysicalStep& physical = frame.plan->steps[step];
  if (!wholes_ready(frame, step, use)) return {Ready::kNotYet, nullptr};
  Joined all;
  for (std::uint32_t index = 0; index < physical.edges.size(); ++index) {
    const Edge& edge = physical.edges[index];
    bool wanted = edge.use == use && index != physical.items_edge;
    // The item itself comes before everything that may read it.
    if (index == physical.items_edge) wanted = use != EdgeUse::kItems;
    if (!wanted) continue;
    Joined one = join_edge(frame, physical, edge, item);
    if (one.ready == Ready::kNotYet) return one;
    if (one.ready == Ready::kFail && all.ready != Ready::kFail) all = std::move(one);
    if (one.ready == Ready::kSkip && all.ready == Ready::kGo) all.ready = Ready::kSkip;
  }
  return all;
}

// Moves one waiting task on, if what it needs next is there.
void RunMachine::advance(Frame& frame, std::uint32_t step, std::uint32_t item) {
  FrameStep& state = frame.steps[step];
  bool emits = frame.index->steps[step].emits;
  if (!emits && item >= state.relation.opened) return;
  SlotStatus status = task_status(frame, step, item);
  if (status != SlotStatus::kWaiting && status != SlotStatus::kWaitingBody) return;
  if (frame.index->steps[step].in_order && item != state.relation.prefix) return;
  const PhysicalStep& physical = frame.plan->steps[step];
  bool condition = status == SlotStatus::kWaiting && physical.when.has_value();
  Joined joined = join_edges(frame, step, item, condition ? EdgeUse::kWhen : EdgeUse::kBody);
  TaskRef task{frame.id, step, item};
  switch (joined.ready) {
    case Ready::kNotYet:
      return;
    case Ready::kSkip:
      return finish_slot(frame, step, item, SlotStatus::kSkipped, Value(), nullptr,
                         latest_input_path(frame, step, item));
    case Ready::kFail:
      return finish_slot(frame, step, item, SlotStatus::kFailed, Value(), std::move(joined.error),
                         latest_input_path(frame, step, item));
    case Ready::kGo:
      break;
  }
  set_task_status(frame, step, item, SlotStatus::kBinding);
  bind(task, condition                ? BindPurpose::kWhen
             : physical.produced_plan ? BindPurpose::kProducedPlan
                                      : BindPurpose::kBody);
}

// The call whose end let this task start: the latest along its edges.
PathPtr RunMachine::latest_input_path(const Frame& frame, std::uint32_t step,
                                      std::uint32_t item) const {
  PathPtr latest = frame.entry_path;
  for (const Edge& edge : frame.plan->steps[step].edges) {
    const Relation& relation = frame.steps[edge.from].relation;
    if (!relation.last_path) continue;
    bool slot = edge.mode == EdgeMode::kSlot;
    latest = later_path(slot ? relation.path(item) : relation.last_path, latest);
  }
  return latest;
}

}  // namespace sluice
