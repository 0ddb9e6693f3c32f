// The inside of RunLoop, its parts in one file each.
//   run_loop.cpp         turns: what happened, into the journal and the state machine
//   run_loop_calls.cpp   what was decided, out to the host; ends of calls; streams; doubt
//   run_loop_stop.cpp    interrupting, trouble with the journal, the end
//   run_loop_resume.cpp  taking a run up; messages; snapshots
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "runtime/recorder.h"
#include "runtime/run_card.h"
#include "runtime/run_core.h"
#include "runtime/run_loop.h"

namespace sluice {

struct RunLoop::Impl : std::enable_shared_from_this<RunLoop::Impl> {
  Impl(PhysicalPlanPtr plan_in, Host& host_in, ValueStore& values_in, TraceSink* trace_in,
       std::function<void(RunOutcome)> end);

  // Something that is to enter the state machine.
  struct Taken {
    Record record;           // an event, or an intent that came early
    bool journaled = false;  // it is in the journal already
    bool settled = false;    // the loop's own word on a call: nothing more is asked about it
  };
  enum class Phase : std::uint8_t {
    kGoing,
    kDraining,  // nothing new starts, what runs may end
    kCutting,   // what runs is cut
    kOver,      // on_end has been called
  };
  struct Closing {
    RunOutcome outcome;
    bool final = false;
    JournalSeq after = 0;
    bool saving = false;  // the last try after trouble is under way
  };

  // ---- run_loop.cpp ----
  void record_in(RunJournal given);
  void start(const RunOptions& options);
  void deliver(Event event);
  void enqueue(Event event, bool settled, std::uint64_t message = 0);
  SteadyNs run_time(SteadyNs host_at) const;
  void turn();
  bool bind_some();
  bool next_is_urgent();
  bool place_replanned(StepReplanned& replanned) const;
  void handle(Taken taken);
  void handle_early(Record fact);
  bool known(const EarlyFacts::Key& about) const;
  bool make_whole(EventRecord& record);
  void journal_event(EventRecord& record);
  void rest(Value& value, std::vector<JournalContent>* contents);
  void after_turn();

  // ---- run_loop_calls.cpp ----
  void carry_out();
  void call_decided(OpenCallEffect& call, std::vector<Record> facts);
  void begin(OpenCallEffect& call);
  Result<const ReuseTable::Entry*> old_call(const StartCall& start);
  bool take_old_key(OpenCallEffect& call);
  bool reuse_result(OpenCallEffect& call);
  void perform(OpenCallEffect& call);
  Result<StartCall> whole(const StartCall& start);
  void cancel_call(const CallRef& ref);
  void resume_stream(const CallRef& ref);
  void catch_up_credits(OpenCallEffect& call);
  bool let_through(Event& event);
  bool let_item_through(ItemEmitted& emitted);
  bool let_end_through(CallEnded& ended);
  bool skip_item(OpenCallEffect& call, const Value& item);
  void ask(OpenCallEffect& call);
  void probed(CallProbed answer);
  void answer_probe(OpenCallEffect& call, CallProbed answer);
  void settle_call(OpenCallEffect& call, CallEnded ended);
  void withdraw(OpenCallEffect& call);

  // ---- run_loop_stop.cpp ----
  bool stopping() const { return phase != Phase::kGoing; }
  void interrupt();
  void stop_new();
  void drain();
  void cut();
  void frontier_moved();
  void in_trouble();
  void lose();
  void end_decided();
  void end_in_doubt();
  void close_again(const RunEndedRecord& ended);
  void close_with(RunOutcome outcome, bool final);
  void try_to_close();
  void last_try();
  void finish(RunOutcome outcome);
  void tell_card(bool now);
  std::string status_now() const;

  // ---- run_loop_resume.cpp ----
  Result<ResumeReport> resume(const std::function<Result<void>()>& ready);
  Result<void> read_journal(class Recovery& recovery, JournalSeq& first, JournalSeq& last);
  void carry_out_again(ResumeReport& report);
  void call_again(OpenCallEffect& call, ResumeReport& report);
  void take(const InboxMessage& message);
  void resolve(std::uint64_t id, const struct ResolveMessage& message);
  void note(std::string text, std::uint64_t message);
  void maybe_compact();
  bool journal_resting(const std::vector<Value>& resting);

  PhysicalPlanPtr plan;
  Host& host;
  ValueStore& values;
  TraceSink* trace;
  std::unique_ptr<CardFold> card;
  std::unique_ptr<RunCore> core;
  std::function<void(RunOutcome)> on_end;
  std::unique_ptr<Recorder> recorder;
  std::shared_ptr<const ReuseTable> reuse;

  Phase phase = Phase::kGoing;
  std::deque<Taken> queue;
  // Calls that wait for the frontier, in its order.
  std::deque<std::pair<JournalSeq, CallRef>> leaving;
  // Probes that are under way; true: the call was made again since, and asked about again.
  std::map<CallRef, bool> asked_again;
  std::optional<Closing> closing;
  SteadyNs base = 0;  // run time = host time + base
  std::uint64_t last_message = 0;
  bool in_turn = false;
  bool posted = false;        // a turn comes by itself
  bool doubt_posted = false;  // so does a look whether there is nothing left but doubt
  bool trouble_seen = false;
  SteadyNs card_at = 0;
  std::string card_status;
  std::uint64_t card_version = 0;
};

}  // namespace sluice
