// Compact names of tasks and calls inside one run. Frame ids, step indices and items are given out
// deterministically, so a replay gives the same ones. TaskId is the name that people see.
#pragma once

#include <compare>
#include <cstdint>

namespace sluice {

// One instance of a step: `frame` is one execution of a plan (0: the root; each call of a sub-plan
// is a frame of its own), `step` an index into its physical plan, `item` its for_each index (0 when
// it has none).
struct TaskRef {
  std::uint32_t frame = 0;
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
  std::uint16_t call = 0;     // 0: the step's own call; k: the k-th tool call of this turn
  friend auto operator<=>(const CallRef&, const CallRef&) = default;
};

}  // namespace sluice
