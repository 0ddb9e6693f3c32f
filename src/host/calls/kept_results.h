// What of a call's outcome stands for other calls, of this run or of later ones, and under which
// name. Pure; any thread.
#pragma once

#include <cstdint>
#include <variant>

#include "data/hash.h"
#include "data/value.h"
#include "plan/physical.h"
#include "runtime/event.h"

namespace sluice {

using CallResult = decltype(CallEnded::outcome);

// The meaning of a call of the step with these inputs, on whatever task's account it is made; what
// it is asked of (a model's file) is to be added. Passes may have changed the step's schema while
// it keeps its hash: it is part of the meaning.
Hasher call_meaning(const PhysicalStep& step, const Value& args);
// The same for what is kept beyond the run without anybody having asked for it.
Hasher reuse_meaning(const PhysicalStep& step, const Value& args);

// What is kept of it for later runs; null: nothing.
const Value* to_keep(const CallResult& outcome);
// Whether calls that wait for an equal one are told of this result. `turn`: that of the call; 0: it
// has waited itself.
bool stands_for_equals(const CallReturned& returned, std::uint64_t turn);

}  // namespace sluice
