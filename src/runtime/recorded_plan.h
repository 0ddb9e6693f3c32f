// The plan that a run's header recorded, read back: with its sub-plans, and as it runs. And the
// header itself, alone. Pure but for the journal; any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "journal/journal.h"
#include "plan/logical.h"
#include "plan/physical.h"
#include "runtime/record.h"

namespace sluice {

struct RecordedPlan {
  PlanPtr plan;
  PhysicalPlanPtr physical;
};
// kJournalDamaged; kRunChanged when this program cannot read it any more.
Result<RecordedPlan> read_recorded_plan(const RunHeader& header);

// What a first record says of its run; null: it is none.
const RunHeader* header_in(const Record& record);
// The first record of a run: what it is. Reads nothing else.
Result<RunHeader> read_run_header(Journal& journal, const std::string& run_id);

// kRunUnknown: the run has no first record.
Error never_begun(std::string_view run_id);

}  // namespace sluice
