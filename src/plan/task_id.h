// TaskId: the name of a task, unchanged by any optimizer pass, stable over resumes and forks: the
// path of (logical step, item key, iteration) from the root of a run. Pure data.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "data/hash.h"

namespace sluice {

struct TaskId {
  struct Part {
    std::string step;                        // logical step id
    std::optional<std::uint64_t> item;       // index in its for_each
    std::optional<std::uint32_t> iteration;  // repeat round from 1, or an llm's tool call from 1
    friend bool operator==(const Part&, const Part&) = default;
  };
  std::vector<Part> parts;

  // "entry[7]", "loop#2", "per_row[3]/ask"
  std::string to_string() const;
  static Result<TaskId> parse(std::string_view text);
  friend bool operator==(const TaskId&, const TaskId&) = default;
};

// The name of a step's task, "entry[7]": `step` as its plan names it. In the name of a step of a
// sub-plan that was called for each item, and whose steps an optimizer pass has put into the plan
// around it, [] is the place of the item: "per_row[]/ask" gives "per_row[3]/ask".
std::string task_name(std::string_view step, std::optional<std::uint64_t> item);

// The key that goes out with a call so that the other side can recognise a repetition: 32 hex
// digits of SHA-256 over the origin run's id and the TaskId. Stable over retries and resumes.
std::string idempotency_key(std::string_view origin_run, const TaskId& task);

}  // namespace sluice
