// What people tell a run: signals, what became of a call in doubt, that it is cancelled. Checked
// against what the run is before it goes to the run's inbox, where its process finds it, now or
// when it is resumed. Blocks; one thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "host/runs/past_run.h"
#include "journal/journal.h"
#include "runtime/inbox.h"

namespace sluice {

// A step of the run's plans that waits for a signal.
struct SignalStep {
  std::string step;
  std::string signal;
  SchemaPtr output;  // what a value must fit; null: anything
};
// Of its plan, the plans inside, and those that its steps have produced so far.
std::vector<SignalStep> signal_steps(const PastRun& run);

// kRunEnded, kSignalUnknown with the names that there are, kSignalInvalid, kTaskUnknown.
Result<void> check_signal(PastRun& run, const SignalMessage& message);
// kRunEnded, kTaskUnknown with what is in doubt, kOutputInvalid.
Result<void> check_resolve(PastRun& run, const ResolveMessage& message);

// The message's id. kRunUnknown, kRunEnded.
Result<std::uint64_t> send_message(Journal& journal, const std::string& run_id,
                                   const RunMessage& message);

}  // namespace sluice
