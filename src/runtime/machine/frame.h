// A frame: one execution of a plan inside a run (the root, or one call of a sub-plan), with the
// state of its steps and of the tasks that are under way. Plain state; the machine works on it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <queue>
#include <string>
#include <unordered_map>
#include <vector>

#include "plan/physical.h"
#include "runtime/event.h"
#include "runtime/machine/path.h"
#include "runtime/machine/relation.h"
#include "runtime/task_ref.h"

namespace sluice {

// An llm task between turns: it waits for the tools that the model called.
struct AgentState {
  std::vector<Value> transcript;
  std::vector<Value> calls;    // {id, name, arguments}
  std::vector<Value> results;  // one per call, in order
  std::uint32_t pending = 0;
};

// A `wait` under way.
struct WaitState {
  std::string task_id;      // its name with the round: what a signal may say
  bool begun = false;       // WaitBegan has come
  std::uint64_t order = 0;  // among the waits of its signal
  SteadyNs since_ns = 0;
  WaitBegan wait;
};

// A task with more to it than one evaluation: it has been bound and will call, repeat or fall back.
struct Task {
  TaskRef ref;
  std::uint32_t round = 0;
  std::uint32_t attempt = 1;
  std::uint16_t turn = 1;
  std::uint16_t running_calls = 0;        // calls that have not ended
  bool slot_held = false;                 // counts against the limits
  bool waiting = false;                   // a fallback: for what it reads
  bool calling = false;                   // its own call has not ended
  bool in_doubt = false;                  // ... and nobody knows whether it happened
  bool resumed = false;                   // that call is made again, once there is room
  bool timed_out = false;                 // a sub-plan past its limit, whose calls still end
  bool abandoned = false;                 // timed out or cancelled: waits for its calls to end
  std::uint64_t timer = 0;                // backoff, repeat delay or time limit; 0: none
  std::uint64_t child = 0;                // frame of its sub-plan; 0: none
  std::uint32_t fallback_for = kNoIndex;  // step whose failed task this one stands in for
  SteadyNs started_ns = 0;
  Value args;
  Value plan;                    // of a produced plan, until it is admitted
  Value previous;                // output of the round before
  Value output;                  // of this round, while `until` is evaluated
  Value error_value;             // fallback: what `error` reads
  std::unique_ptr<Error> error;  // what failed, while on_error is carried out
  PathPtr path;                  // what let it start, then itself
  std::unique_ptr<AgentState> agent;
  std::unique_ptr<WaitState> wait;
  PhysicalPlanPtr admitted;
};

// Which ready task goes first: the item that entered the run earliest, then the longest remaining
// path, then the order of becoming ready. So a pipeline drains instead of filling up.
struct ReadyKey {
  std::uint32_t origin_item = 0;
  std::uint32_t rank = 0;
  std::uint64_t order = 0;
  TaskRef task;
  std::uint64_t group = 0;  // it stands in the place of the first task of its group; 0: none

  friend bool operator<(const ReadyKey& a, const ReadyKey& b) {  // for a max-heap
    if (a.origin_item != b.origin_item) return a.origin_item > b.origin_item;
    if (a.rank != b.rank) return a.rank < b.rank;
    return a.order > b.order;
  }
};
class ReadyHeap : public std::priority_queue<ReadyKey> {
 public:
  const std::vector<ReadyKey>& keys() const { return c; }
  void assign(std::vector<ReadyKey> keys) { c = std::move(keys); }  // as `keys` gave them
};

// What the machine wants to know of a plan at every turn, worked out once per plan.
struct PlanIndex {
  struct StepIndex {
    std::vector<std::uint32_t> slot_consumers;  // read this step slot by slot (no repeats)
    std::vector<std::uint32_t> slot_producers;  // per slot edge of this step: its producer
    std::vector<std::uint32_t> windowed_consumers;
    std::vector<std::uint32_t> windowed_producers;
    bool whole_readers = false;
    bool emits = false;     // a streaming call that is read item by item
    bool in_order = false;  // concurrency 1: one task at a time, in item order
  };
  std::vector<StepIndex> steps;
  PhysicalPlanPtr plan;  // no other plan gets its address while this is there
  explicit PlanIndex(PhysicalPlanPtr of);
};

struct FrameStep {
  Relation relation;
  Value items;  // of a bound for_each
  bool items_requested = false;
  SlotStatus emit_status = SlotStatus::kUnopened;  // of a stream's task: its slots are its items
  std::uint32_t emitted_since_credit = 0;
  bool credit_due = false;  // the call waits until consumers have room
  // Per EdgeUse: every edge below this index that waits for a whole step has got it. Spares a step
  // with a thousand inputs from asking all of them each time that one arrives.
  std::array<std::uint32_t, 3> wholes_ready{};
  std::uint32_t running = 0;  // tasks that hold a slot
  ReadyHeap parked;           // ready, but the step's own limit is reached
  Usage used;
  std::uint64_t calls = 0;
  SteadyNs first_call_ns = 0;
  std::unordered_map<std::uint32_t, std::unique_ptr<Task>> tasks;
};

// A plan that a step produced, and which of its task's it is.
struct Admission {
  AdmissionRef ref;
  PhysicalPlanPtr plan;
  // What the step itself is of; the task's frame may have gone.
  PhysicalPlanPtr caller;
  std::shared_ptr<const Admission> above;
};

struct Frame {
  std::uint64_t id = 0;
  PhysicalPlanPtr plan;
  std::shared_ptr<const PlanIndex> index;
  TaskRef parent;                              // whose call it is; meaningless for the root
  std::shared_ptr<const Admission> admission;  // that its plan is of, or is inside of; or null
  std::uint32_t depth = 0;
  std::uint32_t origin_item = 0;  // of the root's item that led here
  std::string path_prefix;        // "per_row[3]/"
  Value params;
  std::vector<FrameStep> steps;
  std::uint32_t open_steps = 0;
  std::uint32_t running_calls = 0;  // that have not ended, those in doubt too
  std::uint32_t children = 0;       // frames of its sub-plans that still exist
  bool dead = false;  // cut off: waits for its calls to end, and for doubt to be settled
  bool result_requested = false;
  bool failed = false;  // a task failed and nothing took the failure over
  std::unique_ptr<Error> first_error;
  const Limits* limits = nullptr;  // of a produced plan
  std::uint64_t tasks_opened = 0;
  Usage used;
  std::uint64_t calls = 0;
  SteadyNs started_ns = 0;
  PathPtr entry_path;  // what let it start
  PathPtr last_path;
};

}  // namespace sluice
