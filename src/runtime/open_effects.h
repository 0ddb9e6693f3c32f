// OpenEffects: what the state machine has decided and nothing has answered yet. Live, the run loop
// asks it what an event is about; after a crash, exactly this is carried out again. Part of a
// snapshot. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "runtime/effect.h"
#include "runtime/record.h"
#include "runtime/run_state.h"

namespace sluice {

class WireReader;
class WireWriter;

// A call from its StartCall until the end that settles it.
struct OpenCallEffect {
  enum class State : std::uint8_t {
    kHeld,      // this process has not performed it
    kLeaving,   // its intent is on the way to the disk
    kRunning,   // the host has it
    kCut,       // the host was told to end it, so that it can be made again later
    kProbing,   // its tool is asked whether it happened
    kAnswered,  // its end is known and waits in the queue
    kDoubtful,  // it ended in doubt
  };
  StartCall start;
  State state = State::kHeld;
  bool intent = false;      // journaled: it may have left
  bool doubt = false;       // journaled: it ended in doubt
  bool unwanted = false;    // the machine asked for its cancellation
  std::uint64_t order = 0;  // of being decided
  // Of a stream: what has been journaled of it, and the credit that it was given since it began.
  std::uint64_t items = 0;
  std::uint64_t items_chain = 0;
  std::uint64_t credits = 0;

  // This process only.
  bool cut = false;             // an end that is no answer changes nothing
  JournalSeq leaves_after = 0;  // durable up to here: it may leave
  std::uint64_t skipped = 0;    // of `items`, when the stream is read again
  std::uint64_t skip_chain = 0;
  std::uint64_t credits_given = 0;
  std::optional<CallEnded> doubtful_end;  // what is being probed: how it ended

  bool in_hands() const {  // something is under way for it
    return state == State::kLeaving || state == State::kRunning || state == State::kCut ||
           state == State::kProbing || state == State::kAnswered;
  }
};

struct OpenTimer {
  SetTimer timer;
  SteadyNs set_at = 0;  // run time
};

class OpenEffects {
 public:
  // The call that a StartCall began, else null. What it keeps is moved out of the effect.
  OpenCallEffect* decided(RunEffect&& effect, SteadyNs at);
  // Whether the event can answer anything that is open.
  bool expects(const Event& event) const;
  // To be called before the state machine is given the event.
  void happened(const Event& event);
  void intended(const IntentRecord& intent);

  OpenCallEffect* find(const CallRef& call);
  std::vector<OpenCallEffect*> calls();  // in the order in which they were decided
  std::size_t call_count() const { return calls_.size(); }
  std::size_t in_hands() const;
  const std::map<TaskRef, AdmitPlan>& admits() const { return admits_; }
  const std::map<CallRef, BeginWait>& waits() const { return waits_; }
  const std::unordered_map<std::uint64_t, OpenTimer>& timers() const { return timers_; }
  void forget_timers() { timers_.clear(); }
  // The run has ended, or has nothing left to do but what waits for doubt to be settled.
  std::optional<RunOutcome> end;

  // What a produced plan was admitted from; for snapshots, whose plans are adopted again. Else
  // null.
  const AdmitPlan* find_admitted(const AdmissionRef& admission) const;
  // True once so many more are known than were kept that looking is worth its time.
  bool may_forget_admitted() const { return admitted_.size() > 2 * admitted_kept_ + 64; }
  void keep_admitted(const std::set<AdmissionRef>& wanted);

  // `state` is the one that goes with it: it knows the steps. The plans of `admitted` are needed
  // before there is a state, so they have bytes of their own.
  // `resting` as in RunState::snapshot.
  std::string encode(const RunState& state, std::vector<Value>* resting) const;
  Result<void> decode(std::string_view bytes, const RunState& state);
  std::string encode_admitted(const RunState& state, std::vector<Value>* resting) const;
  // `effects`: what `encode` gave then.
  Result<void> decode_admitted(std::string_view bytes, std::string_view effects);

 private:
  struct Hash {
    std::size_t operator()(const CallRef& call) const { return call_hash(call); }
  };
  void put_call(WireWriter& out, const OpenCallEffect& call) const;
  std::optional<OpenCallEffect> take_call(WireReader& in, const RunState& state) const;

  std::unordered_map<CallRef, OpenCallEffect, Hash> calls_;
  // What was read of streams in doubt that are to be made again, until they are.
  struct Progress {
    std::uint64_t items = 0;
    std::uint64_t items_chain = 0;
    std::uint64_t credits = 0;
  };
  std::map<CallRef, Progress> resumed_;
  std::map<TaskRef, AdmitPlan> admits_;
  std::map<AdmissionRef, AdmitPlan> admitted_;
  std::size_t admitted_kept_ = 0;
  std::map<CallRef, BeginWait> waits_;
  std::unordered_map<std::uint64_t, OpenTimer> timers_;
  std::uint64_t next_order_ = 0;
};

// The running hash of a stream's items.
std::uint64_t chain_item(std::uint64_t chain, const Value& item);

}  // namespace sluice
