// RunState: the state of one run and the pure state machine over it. `apply` is synchronous and
// total: it takes what happened and gives what is to be done; it never looks inside values, never
// waits, and reads neither clock nor chance. One thread.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "plan/physical.h"
#include "runtime/effect.h"
#include "runtime/event.h"
#include "runtime/trace.h"

namespace sluice {

// Collects what one apply wants done. Reused between calls.
struct EffectSink {
  std::vector<BindRequest> binds;  // carried out first, in order
  std::vector<RunEffect> effects;
};

// Whether a join's `{value: V}` takes the place of an edge's value for a task.
enum class EdgeFill : std::uint8_t { kNone, kSkipped, kFailed };

class RunMachine;  // the machine's inside (runtime/machine/)

class RunState {
 public:
  RunState(PhysicalPlanPtr plan, TraceSink* trace);  // trace may be null
  ~RunState();
  RunState(const RunState&) = delete;
  RunState& operator=(const RunState&) = delete;

  void apply(std::span<const Event> events, EffectSink& sink);
  // Results of the binds of the last sink, in order; consumed.
  void apply_bound(SteadyNs at, std::span<Bound> bounds, EffectSink& sink);

  bool ended() const;  // for good: not while calls are in doubt
  // What would be told if the run stopped now: for a run that is interrupted.
  RunOutcome outcome(RunStatus status) const;
  // Calls that ended in doubt and are not settled, with why; by TaskId text of the call.
  struct Doubt {
    CallRef call;
    std::string task_id;
    Error error;
  };
  std::vector<Doubt> doubts() const;
  // `wait` tasks that are under way.
  struct Waiting {
    CallRef call;
    std::string task_id;
    WaitBegan wait;
    SteadyNs since_ns = 0;
    const PhysicalStep* step = nullptr;
  };
  std::vector<Waiting> waits() const;
  // Whether a step of the root plan runs a known sub-plan for many items, and may do so in another
  // form; from which item on no task of it has begun; and the forms that it was given.
  bool may_replan(std::uint32_t step) const;
  std::uint32_t first_not_begun(std::uint32_t step) const;
  const std::vector<StepReplanned>& replanned() const;
  void tell_replanned();  // the trace, of all of them: it was restored from a snapshot

  // The whole state between two applies, as bytes (versioned), and back. `resting` gets, unless
  // null, every reference to a value in the ValueStore that is among it. `admitted` finds the plans
  // that tasks of `step` produced, by what encode_physical gave.
  std::string snapshot(std::vector<Value>* resting = nullptr) const;
  using FindPlan = std::function<Result<PhysicalPlanPtr>(
      const AdmissionRef& admission, const PhysicalStep& step, const Value& recorded)>;
  static Result<std::unique_ptr<RunState>> restore(std::string_view snapshot, PhysicalPlanPtr plan,
                                                   const FindPlan& admitted, TraceSink* trace);
  // For the binder: the value of an input of a task. Valid while the task is open.
  Result<Value> input(const TaskRef& task, const StepInput& input) const;
  EdgeFill item_fill(const TaskRef& task) const;
  EdgeFill edge_fill(const TaskRef& task, std::uint32_t edge) const;
  // The edge's value where `fill` (an evaluated `{value: V}`) takes the place of what is missing.
  Value filled_input(const TaskRef& task, std::uint32_t edge, const Value& fill) const;
  // An input of a frame's `result`: skipped and failed steps read as null.
  Value result_input(std::uint64_t frame, const StepInput& input) const;
  // Whether the input may hold values that rest in the ValueStore.
  bool has_spilled(const TaskRef& task, const StepInput& input) const;
  // False once the frame has gone: its binds are answered with anything and dropped.
  bool alive(std::uint64_t frame) const;
  const PhysicalStep& step(const TaskRef& task) const;
  // The same, also of a finished call that may be undone though its frame has gone; else null.
  const PhysicalStep* find_step(const TaskRef& task) const;
  // The produced plans that the state still refers to.
  std::set<AdmissionRef> admissions() const;
  const PhysicalPlan& plan(std::uint64_t frame) const;
  // The name that people see.
  std::string task_id(const TaskRef& task) const;

  RunMachine& machine() { return *machine_; }
  const RunMachine& machine() const { return *machine_; }

 private:
  std::unique_ptr<RunMachine> machine_;
};

}  // namespace sluice
