#include "runtime/run_state.h"

#include <utility>

#include "runtime/machine/machine.h"

namespace sluice {

RunState::RunState(PhysicalPlanPtr plan, TraceSink* trace)
    : machine_(std::make_unique<RunMachine>(std::move(plan), trace)) {}
RunState::~RunState() = default;

void RunState::apply(std::span<const Event> events, EffectSink& sink) {
  machine_->apply(events, sink);
}
void RunState::apply_bound(SteadyNs at, std::span<Bound> bounds, EffectSink& sink) {
  machine_->apply_bound(at, bounds, sink);
}
bool RunState::ended() const { return machine_->ended(); }
RunOutcome RunState::outcome(RunStatus status) const { return machine_->outcome(status); }
std::vector<RunState::Doubt> RunState::doubts() const { return machine_->doubts(); }
std::vector<RunState::Waiting> RunState::waits() const { return machine_->waits(); }
bool RunState::may_replan(std::uint32_t step) const { return machine_->may_replan(step); }
std::uint32_t RunState::first_not_begun(std::uint32_t step) const {
  return machine_->first_not_begun(step);
}
const std::vector<StepReplanned>& RunState::replanned() const { return machine_->replanned(); }
void RunState::tell_replanned() { machine_->tell_replanned(); }
std::string RunState::snapshot(std::vector<Value>* resting) const {
  return machine_->snapshot(resting);
}
std::set<AdmissionRef> RunState::admissions() const { return machine_->admissions(); }
Result<std::unique_ptr<RunState>> RunState::restore(std::string_view snapshot, PhysicalPlanPtr plan,
                                                    const FindPlan& admitted, TraceSink* trace) {
  auto state = std::make_unique<RunState>(std::move(plan), trace);
  if (Result<void> restored = state->machine_->restore(snapshot, admitted); !restored) {
    return std::unexpected(std::move(restored.error()));
  }
  return state;
}
Result<Value> RunState::input(const TaskRef& task, const StepInput& input) const {
  return machine_->input(task, input);
}
EdgeFill RunState::item_fill(const TaskRef& task) const { return machine_->item_fill(task); }
EdgeFill RunState::edge_fill(const TaskRef& task, std::uint32_t edge) const {
  return machine_->edge_fill(task, edge);
}
Value RunState::filled_input(const TaskRef& task, std::uint32_t edge, const Value& fill) const {
  return machine_->filled_input(task, edge, fill);
}
Value RunState::result_input(std::uint64_t frame, const StepInput& input) const {
  return machine_->result_input(frame, input);
}
bool RunState::has_spilled(const TaskRef& task, const StepInput& input) const {
  return machine_->has_spilled(task, input);
}
bool RunState::alive(std::uint64_t frame) const { return machine_->alive(frame); }
const PhysicalStep& RunState::step(const TaskRef& task) const { return machine_->step(task); }
const PhysicalStep* RunState::find_step(const TaskRef& task) const {
  return machine_->find_step(task);
}
const PhysicalPlan& RunState::plan(std::uint64_t frame) const { return machine_->plan(frame); }
std::string RunState::task_id(const TaskRef& task) const { return machine_->task_id(task); }

}  // namespace sluice
