// Compact names of tasks and calls inside one run. They depend on the plan and on what led to a
// task, never on the order in which things happened: a frame's id is a hash of its caller, so a
// replay, or a newer program that decides in another order, gives the same ones. TaskId is the name
// that people see.
#pragma once

#include <compare>
#include <cstdint>

namespace sluice {

// One instance of a step: `frame` is one execution of a plan (0: the root; each call of a sub-plan
// is a frame of its own: frame_id), `step` an index into its physical plan, `item` its for_each
// index (0 when it has none).
struct TaskRef {
  std::uint64_t frame = 0;
  std::uint32_t step = 0;
  std::uint32_t item = 0;
  friend auto operator<=>(const TaskRef&, const TaskRef&) = default;
};

// One try of one call of a task.
struct CallRef {
  TaskRef task;
  std::uint32_t round = 0;    // of `repeat`, from 1; 0 without repeat
  std::uint32_t attempt = 1;  // of `retry`, from 1 in each round
  std::uint16_t turn = 1;     // of an llm step with tools, from 1
  // 0: the step's own call; k: the k-th tool call of this turn. With kUndoCall added: what undoes
  // it; `attempt` then holds, from kUndoAttemptBit on, which try of undoing it is, from 0.
  std::uint16_t call = 0;
  friend auto operator<=>(const CallRef&, const CallRef&) = default;

  bool undoes() const { return (call & 0x8000) != 0; }
};
inline constexpr std::uint16_t kUndoCall = 0x8000;
inline constexpr unsigned kUndoAttemptBit = 16;

// One plan that a task produced: each round and attempt of it produces one anew, told apart by the
// frame that the plan runs in. 0: as the first format of snapshots had it, without that.
struct AdmissionRef {
  TaskRef task;
  std::uint64_t frame = 0;
  friend auto operator<=>(const AdmissionRef&, const AdmissionRef&) = default;
};

// Never 0. `attempt` of the calling task; a call is its turn's and number's own.
std::uint64_t frame_id(const CallRef& caller);
// A well-mixed hash of a call, for tables and for derived chance (retry jitter).
std::uint64_t call_hash(const CallRef& call, std::uint64_t seed = 0);

}  // namespace sluice
