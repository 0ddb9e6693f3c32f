// The state machine alone, driven by hand: plans of a few steps without expressions, whose binds
// are answered with 1, and lists of what it wants and tells.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/run_state.h"
#include "tests/runtime/random_plan.h"

namespace sluice::testing {

class MachineRig final : public TraceSink {
 public:
  struct Told {
    TraceKind kind;
    CallRef call;
    std::string error;  // its code
  };

  explicit MachineRig(PhysicalPlan plan)
      : plan_(finish_plan(std::move(plan))), state(std::make_unique<RunState>(plan_, this)) {}

  void start() { apply(RunStarted{"run", Value(), 7}); }

  template <class Body>
  void apply(Body body) {
    Event event{++at_, std::move(body)};
    state->apply(std::span<const Event>(&event, 1), sink_);
    while (!sink_.binds.empty()) {
      std::vector<BindRequest> binds;
      binds.swap(sink_.binds);
      std::vector<Bound> bounds;
      for (const BindRequest& bind : binds) {
        Bound bound{.task = bind.task, .purpose = bind.purpose, .count = items};
        if (group_of) bound.group = group_of(bind.task);
        bound.value = bind.purpose == BindPurpose::kItems
                          ? Value::array(std::vector<Value>(items, Value::integer(1)))
                      : bind.purpose == BindPurpose::kProducedPlan
                          ? Value::array({Value::object({}), Value::object({})})
                          : Value::integer(1);
        bounds.push_back(std::move(bound));
      }
      state->apply_bound(at_, bounds, sink_);
    }
    for (RunEffect& effect : sink_.effects) take(effect);
    sink_.effects.clear();
  }

  // The call that was started last under this name.
  const StartCall& call(const std::string& task_id) const {
    auto found = std::find_if(starts.rbegin(), starts.rend(),
                              [&](const StartCall& start) { return start.task_id == task_id; });
    return found == starts.rend() ? throw std::runtime_error("no call " + task_id) : *found;
  }
  void returns(const std::string& task_id, std::int64_t output = 1) {
    apply(CallEnded{call(task_id).call, CallReturned{Value::integer(output), false}, {}});
  }
  void fails(const std::string& task_id, bool doubt = false) {
    apply(
        CallEnded{call(task_id).call, CallFailed{Error(ErrorCode::kToolFailed, "no"), doubt}, {}});
  }
  // The wait that began last is understood.
  void waits_for(const std::string& signal, WallNs until = 0,
                 std::optional<std::int64_t> value = std::nullopt) {
    WaitBegan began{.call = begins.back().call, .signal = signal, .until_wall_ns = until};
    began.has_value = value.has_value();
    if (value) began.value = Value::integer(*value);
    apply(began);
  }
  void signal(const std::string& name, std::int64_t value, const std::string& task = "") {
    apply(SignalReceived{++messages_, name, task, Value::integer(value)});
  }

  std::size_t told_of(TraceKind kind) const {
    return static_cast<std::size_t>(
        std::count_if(told.begin(), told.end(), [&](const Told& one) { return one.kind == kind; }));
  }
  std::vector<std::string> started() const {  // in order; undone ones with a minus
    std::vector<std::string> names;
    for (const StartCall& start : starts) names.push_back((start.undo ? "-" : "") + start.task_id);
    return names;
  }

  void on_trace(const TraceEvent& event) override {
    told.push_back({event.kind, event.call, event.error ? std::string(event.error->name()) : ""});
    if (event.kind == TraceKind::kTaskDone) outputs.push_back(*event.value);
  }

 private:
  void take(RunEffect& effect) {
    if (auto* start = std::get_if<StartCall>(&effect.body)) starts.push_back(*start);
    if (auto* cancel = std::get_if<CancelCall>(&effect.body)) cancels.push_back(cancel->call);
    if (auto* begin = std::get_if<BeginWait>(&effect.body)) begins.push_back(*begin);
    if (auto* timer = std::get_if<SetTimer>(&effect.body)) timers.push_back(*timer);
    if (auto* timer = std::get_if<ClearTimer>(&effect.body)) cleared.push_back(timer->timer);
    if (auto* end = std::get_if<EndRun>(&effect.body)) ends.push_back(end->outcome);
  }

  PhysicalPlanPtr plan_;
  EffectSink sink_;
  SteadyNs at_ = 0;
  std::uint64_t messages_ = 0;

 public:
  std::unique_ptr<RunState> state;
  std::uint32_t items = 3;                                // of every for_each
  std::function<std::uint64_t(const TaskRef&)> group_of;  // of bound tasks; null: none
  std::vector<StartCall> starts;
  std::vector<CallRef> cancels;
  std::vector<BeginWait> begins;
  std::vector<SetTimer> timers;
  std::vector<std::uint64_t> cleared;
  std::vector<RunOutcome> ends;
  std::vector<Told> told;
  std::vector<Value> outputs;  // of tasks that are done
};

inline PhysicalStep wait_step(const std::string& id) {
  PhysicalStep step = call_step(id);
  step.logical.op = OperatorKind::kWait;
  return step;
}

inline void read_whole(PhysicalStep& step, std::uint32_t from) {
  Edge edge;
  edge.from = from;
  step.edges.push_back(edge);
}

}  // namespace sluice::testing
