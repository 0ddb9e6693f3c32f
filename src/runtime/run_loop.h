// RunLoop: drives one run. Takes events from a Host, journals and applies them, carries out binds
// itself and hands other effects to the Host, those that are not pure or read only once all that
// they depend on is durable. The same loop runs live, in the simulator and after a crash. One
// thread: the Host's run thread.
//
// Interrupting is a state of the loop, not of the run: effects are kept instead of carried out,
// calls that run may end, and whoever takes the run up later finds everything as it was.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/value.h"
#include "journal/journal.h"
#include "plan/physical.h"
#include "runtime/event.h"
#include "runtime/host.h"
#include "runtime/record.h"
#include "runtime/reuse.h"
#include "runtime/run_state.h"
#include "runtime/value_store.h"

namespace sluice {

struct RunOptions {
  std::string run_id;
  Value params;
  std::uint64_t seed = 0;
};

// What a new run's journal begins with, for Journal::create_run: its header and its start. Large
// parameters go to `values`.
JournalBatch first_records(const RunHeader& header, const RunOptions& options, ValueStore& values);

// Where a run is recorded. The caller has created the run with its first records, or taken it over;
// the loop appends behind that and closes the run at its end.
struct RunJournal {
  Journal& journal;  // outlives the loop
  RunLease lease;
  RunHeader header;                       // for snapshots
  std::string owner;                      // for people
  RunCard card;                           // the loop keeps its counts
  std::uint64_t compact_after = 500'000;  // records since the last snapshot; 0: never
  JournalSeq begun = 0;                   // number of the last of a new run's first records
};

// What a resumed run found.
struct ResumeReport {
  std::uint64_t events = 0;           // applied
  std::uint64_t calls_done = 0;       // results taken over
  std::vector<std::string> repeated;  // TaskIds of calls that are made again (the first 100)
  std::uint64_t repeated_count = 0;
  std::vector<std::string> asked;  // of `once` calls whose intent was journaled: probed or in doubt
  std::int64_t away_ns = 0;        // wall time since the last record
  // The journal had the run's end, and only the store had not heard of it: nothing is done again,
  // on_end has been called with what was recorded.
  bool had_ended = false;
};

class RunLoop final : public EventInbox {
 public:
  // All references outlive the loop. `journal`: null for a run that nothing needs to survive.
  // `reuse`: of a fork, else null. `on_end` is called once, last, when all that it tells is
  // durable; kInterrupted and kInDoubt leave the run open in the journal.
  RunLoop(PhysicalPlanPtr plan, Host& host, ValueStore& values, TraceSink* trace,
          std::function<void(RunOutcome)> on_end);
  ~RunLoop() override;

  void record_in(RunJournal journal);
  void reuse(std::shared_ptr<const ReuseTable> table);

  void start(const RunOptions& options);
  // Applies what the journal has and goes on from there. Blocks while it reads. `ready`: asked when
  // all that happened is applied and nothing is done yet; its error is the answer, and the run
  // stays as it was. Not asked of a run that had ended.
  Result<ResumeReport> resume(const std::function<Result<void>()>& ready = nullptr);

  void deliver(Event event) override;
  void probed(CallProbed probed) override;
  // A message from the run's inbox; ones that were taken before change nothing.
  void take(const InboxMessage& message);
  std::uint64_t last_message() const;  // already taken
  void interrupt();                    // once: nothing new starts; twice: what runs is cut
  void cancel(std::string reason);
  // From its first item that has not begun on, a step of the root plan runs `plan` in the place of
  // its sub-plan's form: the same logical plan. Nothing happens where the step cannot be replanned
  // (RunState::may_replan), or the run is stopping.
  void replan(std::uint32_t step, PhysicalPlanPtr plan, std::string why);
  // As the first interrupt(), and nothing when the run stops already. May be called from inside of
  // the trace sink: then what is being decided does not leave any more.
  void drain();

  const RunState& state() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace sluice
