// What happens to a run from outside: the input of the state machine, and what the journal keeps
// (record.h). Pure data. Interrupting is not among them: it is the run loop that stops carrying
// effects out, and nothing is lost by it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "base/clock.h"
#include "base/error.h"
#include "data/value.h"
#include "plan/physical.h"
#include "runtime/task_ref.h"

namespace sluice {

struct Usage {
  std::uint64_t prompt_tokens = 0;
  std::uint64_t cached_tokens = 0;
  std::uint64_t completion_tokens = 0;
  double usd = 0;

  std::uint64_t tokens() const { return prompt_tokens + completion_tokens; }
  Usage& operator+=(const Usage& more);
};

struct RunStarted {
  std::string run_id;
  Value params;            // checked and complete
  std::uint64_t seed = 0;  // for retry jitter
};

// A call gave its value (checked against the output schema by the host).
struct CallReturned {
  Value output;
  // Taken from the cache, or by a fork from another run: nothing was called. So nothing is undone
  // either: such a call never is, however the run ends.
  bool cached = false;
  // How the host came by it. What an equal call, or an earlier run, gave costs no call of a budget.
  enum class From : std::uint8_t {
    kCall,        // a call, or what `cached` says, of which no more is known
    kEqual,       // cached: an equal call of this run
    kEarlierRun,  // cached: kept by an earlier run
    kHedged,      // a call, and a second attempt had been started beside it
  };
  From from = From::kCall;
};
// A call failed. `doubt`: it left and nobody knows whether it happened (effect `once` only); the
// call stays open until a later CallEnded without doubt, or CallResumed, settles it.
struct CallFailed {
  Error error;
  bool doubt = false;
};
// An llm call wants tools called before it goes on.
struct ToolsWanted {
  Value message;  // the assistant's message, appended to the transcript
  Value calls;    // array of {id, name, arguments}
};
struct CallEnded {
  CallRef call;
  std::variant<CallReturned, CallFailed, ToolsWanted> outcome;
  Usage usage;
};

// A call in doubt is made again, by a person's decision or because it is known not to have
// happened. The state machine then emits its StartCall again, when its turn comes: the same CallRef
// and the same idempotency key, charged to budgets once more. Until then the call is not open.
struct CallResumed {
  CallRef call;
};

// One item of a streaming call.
struct ItemEmitted {
  CallRef call;
  Value item;
};

// A produced plan was verified and lowered, or refused.
struct PlanAdmitted {
  TaskRef task;
  PhysicalPlanPtr plan;
};
struct PlanRefused {
  TaskRef task;
  Error error;
};

struct TimerFired {
  std::uint64_t timer = 0;
};

// A `wait` was understood: until when, and for what. Answers BeginWait.
struct WaitBegan {
  CallRef call;
  std::string signal;        // its name; "": for time alone
  WallNs until_wall_ns = 0;  // the UTC instant at which it ends by itself; 0: never
  bool has_value = false;    // what it gives then; without, a wait for a signal fails with TIMEOUT
  Value value;
  std::string of;  // for whom, and what is asked: words for people, or ""
  std::string ask;
  std::optional<Error> error;  // it was not understood: the task fails with it
};

// A person or a program sent a signal. It is kept until a `wait` takes it: the one of that task
// when `task` names one, else the one that has waited longest.
struct SignalReceived {
  std::uint64_t message = 0;  // its id in the inbox
  std::string name;
  std::string task;  // TaskId text or ""
  Value value;
};

struct CancelRequested {
  std::uint64_t message = 0;  // of the inbox; 0: asked in this process
  std::string reason;
};

// From an item on, a step of the root plan runs its sub-plan in another physical form: what the
// first items have shown has changed the order of its work. Items below keep the form that they
// have, whenever they begin.
struct StepReplanned {
  std::uint32_t step = 0;  // of the root plan
  std::uint32_t from_item = 0;
  PhysicalPlanPtr plan;  // of the same logical plan
  std::string why;       // for people
};

struct Event {
  // Run time: nanoseconds of life of the run, from 1; stands still while no process has it.
  SteadyNs at = 0;
  std::variant<RunStarted, CallEnded, CallResumed, ItemEmitted, PlanAdmitted, PlanRefused,
               TimerFired, WaitBegan, SignalReceived, CancelRequested, StepReplanned>
      body;
};

// The results of Bind effects: inside events, deterministic, not journaled. They enter the state
// machine before the next outside event, in the order of the effects.
enum class BindPurpose : std::uint8_t {
  kItems,         // for_each: the array
  kWhen,          // the condition
  kBody,          // `with` or `value`
  kProducedPlan,  // the plan and its `with`
  kUntil,         // the end of a round
  kOnError,       // on_error: {value}
  kResult,        // of a frame's plan (task.frame; step and item unused)
};

struct Bound {
  TaskRef task;
  BindPurpose purpose = BindPurpose::kBody;
  bool holds = true;        // kWhen, kUntil: the condition
  std::uint32_t count = 0;  // kItems: how many
  std::uint64_t group = 0;  // kBody: tasks with the same one start together; 0: alone
  Value value;
  std::optional<Error> error;
};

}  // namespace sluice
