// The run's trace: a stream of timed events for people and tools. The summary, progress and
// `--json` fold it; nothing else is recorded. Sinks are called on the run's thread and must not
// block.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "data/value.h"
#include "plan/physical.h"
#include "runtime/effect.h"
#include "runtime/event.h"
#include "runtime/task_ref.h"

namespace sluice {

enum class TraceKind : std::uint8_t {
  kRunStarted,
  kItemsKnown,  // count: how many tasks the step has so far; closed: no more will come
  kCallStarted,
  kCallEnded,  // error or not; usage
  kItemEmitted,
  kRetryScheduled,  // count: delay in ms
  kTaskDone,
  kTaskSkipped,
  kTaskFailed,
  kTaskInDoubt,
  kPlanAdmitted,
  kRunEnded,
  kWaiting,     // a `wait` began; `wait` says for what
  kSignal,      // a signal was taken by the waiting task; value: what it brought
  kDoubtEnded,  // a call in doubt was settled or is made again
  kTaskUndone,  // what undoes the task has been done (or failed: error)
  // Between these two the trace tells what an earlier process did.
  kRecoveryBegan,
  kRecovered,
  // A step runs its sub-plan in another form: `replanned`, from item `count` on; value: why.
  kReplanned,
};
std::string_view trace_kind_name(TraceKind kind);

// What the `when` of a task gave.
enum class ConditionOutcome : std::uint8_t {
  kNone,  // it has none, or it was not evaluated
  kHeld,
  kFalse,  // the task is skipped by it
};

struct TraceEvent {
  SteadyNs at = 0;
  TraceKind kind = TraceKind::kRunStarted;
  CallRef call;  // call.task for task events
  // Null for run events. Valid during the call of the sink: where a produced plan lay, another may
  // lie later, so nothing is told apart by these addresses.
  const PhysicalStep* step = nullptr;
  const PhysicalPlan* plan = nullptr;  // whose step it is
  std::uint64_t count = 0;
  bool closed = false;
  bool cached = false;
  CallReturned::From from = CallReturned::From::kCall;   // of a call that returned
  ConditionOutcome condition = ConditionOutcome::kNone;  // of a task that ends
  Usage usage;
  const Error* error = nullptr;         // valid during the call of the sink
  const Value* value = nullptr;         // kTaskDone: output; kRunEnded: result; likewise
  const RunOutcome* outcome = nullptr;  // kRunEnded
  const WaitBegan* wait = nullptr;      // kWaiting
  // kReplanned: the form from now on. The one before is the step's own, or that of the last such
  // event.
  const PhysicalPlan* replanned = nullptr;

  void set_step(const PhysicalPlan& of, std::uint32_t index) {
    plan = &of;
    step = &of.steps[index];
  }
};

class TraceSink {
 public:
  virtual ~TraceSink() = default;
  virtual void on_trace(const TraceEvent& event) = 0;
  // In place of everything before a compacted run's snapshot: what SummaryFold::save gave then.
  virtual void restored(std::string_view /*folded*/) {}
};

}  // namespace sluice
