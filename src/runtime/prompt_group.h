// Which tasks of model steps ask about the same: the number of a task's prompt up to the bytes that
// the step's advice names. Equal in every process. Pure; any thread.
#pragma once

#include <cstdint>

#include "data/value.h"
#include "plan/physical.h"

namespace sluice {

// `with`: what the step's `with` gave: its `prompt` or its `messages`. Never 0.
std::uint64_t prompt_group(const PhysicalStep& step, const Value& with);

}  // namespace sluice
