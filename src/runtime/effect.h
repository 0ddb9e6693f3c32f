// What the state machine wants done. Effects are carried out elsewhere (run_loop and a Host).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "data/value.h"
#include "journal/journal.h"
#include "plan/logical.h"
#include "runtime/event.h"
#include "runtime/task_ref.h"

namespace sluice {

// Evaluate expressions of a task. Carried out by the run loop itself, at once, in order.
struct BindRequest {
  TaskRef task;
  BindPurpose purpose = BindPurpose::kBody;
};

// Start one call of a step: the operator, its settings and limits are in the physical step. Emitted
// again, with the same CallRef and key, after CallResumed.
struct StartCall {
  CallRef call;
  const PhysicalStep* step = nullptr;  // of the run's plan; lives as long as the run
  Value args;                          // the bound `with`
  Value transcript;                    // llm with tools: messages of earlier turns (array) or null
  Value wanted;                        // a model's tool call: {id, name, arguments}; else null
  std::string task_id;                 // TaskId text
  std::string idempotency_key;
  std::int64_t timeout_ms = 0;  // 0: the callee's
  bool streaming = false;       // items are wanted as they come
  bool undo = false;            // call what undoes this call; `undone` is what it had given
  Value undone;
};
// What undoes a call goes out under that call's key with this behind it.
inline constexpr const char* kUndoKeyEnd = "/undo";
struct CancelCall {
  CallRef call;
};
// A streaming call may go on: its consumers have room again.
// After each kStreamCredit items a streaming call pauses until it is resumed.
inline constexpr std::uint32_t kStreamCredit = 256;
struct ResumeCall {
  CallRef call;
};

// Verify and lower a plan that a step produced; answered by PlanAdmitted or PlanRefused.
struct AdmitPlan {
  TaskRef task;
  std::uint64_t frame = 0;  // that it will run in
  const PhysicalStep* step = nullptr;
  Value plan;
  Value args;
  Limits limits;  // the smaller of its own and what is left of the parent's
};

// Understand a `wait`: its times and names, from the bound value. Answered by WaitBegan, at once.
struct BeginWait {
  CallRef call;
  const PhysicalStep* step = nullptr;
  std::string task_id;
  Value spec;  // {for | until, signal, value, of, ask}, as bound
};

// Timer ids are hashes of task and purpose: the same in every replay.
struct SetTimer {
  std::uint64_t timer = 0;
  std::int64_t delay_ns = 0;
  // Set: at that wall-clock time instead, also when the clock is stepped or the process was away.
  WallNs until_wall_ns = 0;
};
struct ClearTimer {
  std::uint64_t timer = 0;
};

enum class RunStatus : std::uint8_t {
  kSucceeded,
  kFailed,
  kInterrupted,
  kCancelled,
  kInDoubt,
  kBudgetSpent
};
std::string_view run_status_name(RunStatus status);

// One call on the critical path of the realized graph.
struct CriticalHop {
  std::string task_id;
  SteadyNs start_ns = 0;
  SteadyNs end_ns = 0;
};

struct RunOutcome {
  RunStatus status = RunStatus::kSucceeded;
  Value result;
  std::vector<Error> errors;  // the first few, with their cause chains; message names the task
  std::uint64_t failed_tasks = 0;
  std::vector<CriticalHop> critical_path;  // in time order
};
// kInDoubt is not the end: the run has nothing left to do but what waits for the calls in doubt,
// and goes on when one of them is settled. Every other status is final.
struct EndRun {
  RunOutcome outcome;
};

// Not to be confused with `Effect`, what a tool declares about repeating its calls.
struct RunEffect {
  std::variant<StartCall, CancelCall, ResumeCall, AdmitPlan, BeginWait, SetTimer, ClearTimer,
               EndRun>
      body;
  // Not before the journal is durable up to here; 0: at once. The run loop sets it.
  JournalSeq after_durable = 0;
};

}  // namespace sluice
