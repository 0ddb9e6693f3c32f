// The inside of Recovery, which the run loop takes over when a run goes on.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/recovery.h"
#include "runtime/run_core.h"

namespace sluice {

// What the state machine wants whole, although it may rest in the content store; plans are adopted.
Result<void> make_fact_whole(EventRecord& record, const RunCore& core, ValueStore& values,
                             const AdoptPlan& adopt);

// All of a run, in pieces: a journal may not be asked for contents while it is being read.
Result<void> read_records(
    Journal& journal, std::string_view run_id,
    const std::function<Result<void>(JournalSeq, const JournalRecord&)>& take);

struct Recovery::Impl {
  Impl(PhysicalPlanPtr plan_in, ValueStore& values_in, TraceSink* trace_in, AdoptPlan adopt_in,
       bool check_in);

  Result<void> take(JournalSeq seq, const JournalRecord& encoded);
  Result<void> restore(const SnapshotRecord& snapshot, SteadyNs at);
  Result<void> take_event(JournalSeq seq, Record record);
  Result<void> apply(EventRecord& record);
  void take_intent(const Record& record);
  // Binds until `rounds` have been done since the last event (0: to their end), and gives the facts
  // that came early.
  Result<void> settle(std::uint32_t rounds);
  void note_effects();
  void compare(JournalSeq seq, const EventRecord& record);
  void seen_wall(WallNs wall_ns, SteadyNs at);

  PhysicalPlanPtr plan;
  ValueStore& values;
  TraceSink* trace;
  AdoptPlan adopt;
  bool check;
  std::unique_ptr<RunCore> core;
  std::function<void(const StartCall&, const CallEnded&)> on_call_end;
  std::function<void(const StartCall&)> on_call_resumed;
  std::optional<RunHeader> header;
  std::optional<RunEndedRecord> ended;
  std::optional<ReplayDifference> difference;
  std::deque<Record> ready;                // facts that came early and are due now
  std::vector<std::string> decisions;      // since the last event; for `check`
  std::optional<StartCall> last_returned;  // for a failpoint only
  std::uint64_t events = 0;
  std::uint64_t calls_done = 0;
  std::uint64_t last_message = 0;
  bool begun = false;
  WallNs wall_ns = 0;    // of the last record that has one
  SteadyNs wall_at = 0;  // and its run time
  SteadyNs last_at = 0;  // of the last record
};

}  // namespace sluice
