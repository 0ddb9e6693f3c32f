// The physical plan as a value and back: what the journal keeps of a plan that runs, so that a
// newer program, which might lower it otherwise, goes on with exactly the same steps and edges. The
// form is versioned; expressions are kept as their text. Pure; any thread.
#pragma once

#include "base/error.h"
#include "data/value.h"
#include "plan/physical.h"

namespace sluice {

// All steps with their sub-plans inside. decode(encode(p)) is p, hashes included.
Value encode_physical(const PhysicalPlan& plan);
// `logical` is what the plan's text parses to. kJournalDamaged for a value that no version wrote,
// kJournal for a version from the future.
Result<PhysicalPlanPtr> decode_physical(const Value& encoded, const PlanPtr& logical);

}  // namespace sluice
