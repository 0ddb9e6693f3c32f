// PastRun: a run as its journal tells it. Nothing is called and nothing changes: the records are
// applied to a state of its own. Also of a run that another process is at: `read_on` takes what
// came since. For `runs show`, `runs tail`, `replay`, `fork`, and for checking what is sent to a
// run. One thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/files/spill_store.h"
#include "host/resources/secrets.h"
#include "host/runs/run_header.h"
#include "journal/journal.h"
#include "runtime/recovery.h"
#include "runtime/run_state.h"
#include "runtime/summary.h"

namespace sluice {

// A process that had the run.
struct RunSegment {
  std::string program;
  std::string owner;      // "" of the first
  WallNs wall_ns = 0;     // when it took the run up
  SteadyNs from_ns = 0;   // in the life of the run
  SteadyNs until_ns = 0;  // of its last record
};

class PastRun;

struct PastRunOptions {
  TraceSink* trace = nullptr;  // besides the summary's own
  bool check = false;          // compare every decision with the journal's (replay)
  // Sees each record after it was applied.
  std::function<void(JournalSeq, const Record&)> on_record;
  // Sees each call that ended without doubt, with what it was asked, before it is applied.
  std::function<void(PastRun&, const StartCall&, const CallEnded&)> on_call_end;
};

class PastRun {
 public:
  // Reads all that is there. kRunUnknown, kJournalDamaged, kRunChanged.
  static Result<std::unique_ptr<PastRun>> read(Journal& journal, const std::string& run_id,
                                               const PastRunOptions& options = {});
  ~PastRun();

  // Records that came since; how many.
  Result<std::size_t> read_on();

  const JournaledRun& journaled() const;  // as of the last read
  const RunHeader& header() const;
  const RecordedPlan& plan() const;
  RunState& state();
  const RunSummary& summary() const;
  Recovery& recovery();
  const std::vector<PhysicalPlanPtr>& adopted() const;  // plans that its steps produced
  const std::vector<RunSegment>& segments() const;
  const std::optional<RunEndedRecord>& ended() const;
  RunOutcome outcome();  // of a run that ended; its result may rest in the content store
  const std::vector<NoteRecord>& notes() const;
  JournalSeq last_seq() const;
  std::uint64_t last_message() const;  // of the inbox, already taken
  // What people see of the run goes through it: secrets of its plan, as far as they are known here.
  const Redactor& redactor() const;
  // Values inside that rest in the journal's content store come back.
  Result<Value> load(const Value& value);

 private:
  struct Impl;
  explicit PastRun(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// For whoever reads a run: values that rest in the journal, and plans that its steps produced.
SpillOptions values_of(Journal& journal);
AdoptPlan adopt_by_reading(ValueStore& values);

// The secrets of the run's plan, as far as they can be had here.
Redactor redactor_of(const RunHeader& header, const Plan& plan);

// A run by its id, a unique beginning of it, or "last" (the newest). kRunUnknown says what is
// close.
Result<JournaledRun> find_run(Journal& journal, const std::string& name);

}  // namespace sluice
