// Recovery: what a journal says happened, applied to a fresh state. Records are facts: the effects
// that they once led to are not carried out again, only remembered while they are open. Resuming,
// `runs show`, `runs tail`, forking and `replay` all go through here. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "journal/journal.h"
#include "runtime/binder.h"
#include "runtime/record.h"
#include "runtime/run_state.h"
#include "runtime/value_store.h"

namespace sluice {

// Finds the plan of a PlanAdmitted record; Host::adopt live, a parser in tools that only read.
using AdoptPlan =
    std::function<Result<PhysicalPlanPtr>(const AdmitPlan& admit, const Value& recorded)>;

// The first place where a replay decides otherwise than the run did.
struct ReplayDifference {
  JournalSeq seq = 0;    // of the record before which they differ
  std::string was, now;  // one line each: what is known of the decision
};

class Recovery {
 public:
  // `check`: compare the digest of every decision with the record's (replay).
  Recovery(PhysicalPlanPtr plan, ValueStore& values, TraceSink* trace, AdoptPlan adopt, bool check);
  ~Recovery();

  // One record after the other, from the first (or a snapshot) on. kReplayDifference is no error:
  // see `difference`. kJournalDamaged: a record that cannot follow those before it.
  Result<void> take(JournalSeq seq, const JournalRecord& record);

  // After the last event's decisions have been worked out (all of them, but in a run that loops
  // without end in expressions alone).
  RunState& state();
  const std::optional<RunHeader>& header() const;
  const std::optional<ReplayDifference>& difference() const;
  std::uint64_t events() const;
  const std::optional<RunEndedRecord>& ended() const;
  std::uint64_t last_message() const;  // of the inbox, that the journal knows
  // Called with each call that ends without doubt and what it was asked, before it is applied.
  void on_call_end(std::function<void(const StartCall&, const CallEnded&)> call);
  // Called with each call in doubt that is to be made again, before it is.
  void on_call_resumed(std::function<void(const StartCall&)> call);

  struct Impl;  // recovery_impl.h
  Impl& inside() { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
