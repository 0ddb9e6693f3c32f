// What happens to a run from outside: the input of the state machine, and what the journal keeps.
// Pure data.
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
  std::string origin_run;  // of a fork: whose idempotency keys are kept; else run_id
  Value params;            // checked and complete
  std::uint64_t seed = 0;  // for retry jitter
};

// A call gave its value (checked against the output schema by the host).
struct CallReturned {
  Value output;
  bool cached = false;  // taken from the cache: nothing was called
};
// A call failed. `doubt`: it left and nobody knows whether it happened (effect `once` only).
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

// Nothing new starts; what runs may end. A second one cuts what runs.
struct Interrupted {};
struct CancelRequested {
  std::string reason;
};

struct Event {
  SteadyNs at = 0;
  std::variant<RunStarted, CallEnded, ItemEmitted, PlanAdmitted, PlanRefused, TimerFired,
               Interrupted, CancelRequested>
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
  Value value;
  std::optional<Error> error;
};

}  // namespace sluice
