// What the outside knows of a random run: which calls were started, which happened, what was undone
// and who took which signal. It finds what must never be.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "runtime/run_state.h"

namespace sluice::testing {

class WorldLedger {
 public:
  using Violate = std::function<void(const std::string&, const TaskRef&)>;
  WorldLedger(bool undo, Violate violate) : undo_(undo), violate_(std::move(violate)) {}

  void started(const StartCall& start);
  // An end as the machine was told it, once.
  void ended(const StartCall& start, const CallEnded& ended);
  void resumed(const CallRef& call);
  void signal_sent(const SignalReceived& signal);
  void signal_taken(std::uint64_t message, const TaskRef& task);
  void run_ended(RunStatus status);

  std::uint64_t undone() const { return undone_; }
  bool knows(const CallRef& call) const { return states_.contains(call); }

 private:
  enum class State : std::uint8_t { kOpen, kDoubtful, kResumed, kHappened, kFailed };
  struct Done {
    CallRef call;
    Value output;
    const PhysicalStep* step;
  };
  void undo_started(const StartCall& start);
  void undo_ended(const CallEnded& ended);

  bool undo_;
  Violate violate_;
  std::map<CallRef, State> states_;
  // The key of each task's call, whatever its attempt; and whose each key is.
  std::map<std::tuple<TaskRef, std::uint32_t>, std::string> keys_;
  std::map<std::string, std::string> names_;
  std::vector<Done> done_;           // to be undone, in order of completion
  std::uint32_t undo_failures_ = 0;  // of the last of done_
  bool undoing_ = false;
  bool began_undo_ = false;
  std::uint64_t undone_ = 0;
  std::map<std::uint64_t, SignalReceived> sent_;
  std::set<std::uint64_t> taken_;
  std::map<std::string, std::uint64_t> last_taken_;  // per name, of those sent to anybody
};

}  // namespace sluice::testing
