// What the parts of a world share: the outside (time, tools, disk, ledger) and what has been seen.
// Inside of simulate/. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "journal/group_commit.h"
#include "runtime/run_state.h"
#include "simulate/ledger.h"
#include "simulate/life.h"
#include "simulate/mortal_store.h"
#include "simulate/promises.h"
#include "simulate/scenario.h"
#include "simulate/sim_host.h"
#include "simulate/sim_vfs.h"
#include "simulate/world.h"

namespace sluice {

inline constexpr std::string_view kSimStorePath = "store";

// A call, whatever its attempt: what must have one key and happen once.
struct CallIdentity {
  TaskRef task;
  std::uint32_t round = 0;
  std::uint16_t turn = 0;
  std::uint16_t call = 0;  // with kUndoCall for what undoes it
  friend auto operator<=>(const CallIdentity&, const CallIdentity&) = default;
};
CallIdentity identity_of(const CallRef& call);
std::string what_is_called(const StartCall& start);

// What a user was told when a process ended.
struct Told {
  RunOutcome outcome;
  std::vector<RunState::Doubt> doubts;
  bool result_read = true;  // false: the disk failed just then, and nobody saw the result
};

// What is outside of all runs of a world, and of all processes.
struct Outside {
  explicit Outside(const Scenario& of);

  const Scenario& scenario;
  EventQueue queue;
  Ledger ledger;
  SimTools tools;
  SimSurroundings surroundings;
  // One of the two.
  std::unique_ptr<SimMachine> machine;
  SharedStore memory;
  std::uint32_t booted = 0;  // processes
  std::uint32_t connections = 0;
};

// A call that left a process.
struct SentCall {
  CallIdentity call;
  std::string task;
  std::string what;  // function or operator
  Value args;
  std::string key;
};

// A call of which the journal of a run knows that it returned.
struct ReturnedCall {
  CallIdentity call;
  std::string task;
  std::string what;
  Value args;
  Value output;
  bool cached = false;
  bool streaming = false;
};

// One run of a world, and what it met.
struct WorldParts {
  // The first run.
  WorldParts(Outside& all, const RunPlan& runs);
  // A fork of `before` from one of its steps.
  WorldParts(WorldParts& before, const RunPlan& runs, const Fork& as, std::uint32_t from);
  WorldParts(const WorldParts&) = delete;
  WorldParts& operator=(const WorldParts&) = delete;

  Outside& outside;
  const Scenario& scenario;
  EventQueue& queue;
  Ledger& ledger;
  SimTools& tools;
  SimSurroundings& surroundings;
  std::unique_ptr<SimMachine>& machine;
  SharedStore& memory;

  std::string run_id;
  SimPlanPtr plan;
  Value params;
  const std::vector<Act>& acts;
  DeathPlan deaths;
  Promises promises;
  Random random;                // for what is nobody else's
  std::uint32_t first_process;  // of this run
  // It is left for good when so many things have happened to it; 0: never.
  std::uint64_t left_at = 0;

  // Of a fork.
  const WorldParts* forked_from = nullptr;
  std::string fork_step;
  std::optional<Error> refused;  // there is no such fork

  WorldReport report;
  std::map<CallIdentity, std::string> keys;    // of calls that left
  std::map<std::string, CallIdentity> owners;  // of keys
  std::vector<CallIdentity> undone;  // what was sent to be undone, in order; the base call
  bool rotten = false;
  bool cancel_asked = false;
  bool power_goes = false;
  bool tools_were_down = false;
  bool watches_calls = false;  // for a fork, or one itself
  std::vector<SentCall> sent;  // the steps' own calls, that may have effects
  std::vector<ReturnedCall> returned;
  std::vector<CallIdentity> undoing;                // what is still to be undone when it is left
  bool whole = true;                                // the journal goes back to the beginning
  bool has_intents = false;                         // and `once` calls left, or may have
  std::map<JournalSeq, std::uint64_t> left_behind;  // the marks of its records at the end

  bool is_fork() const { return forked_from != nullptr; }
  void violate(std::string_view check, std::string what);
  // A connection to the store, for a process or for somebody outside.
  Result<std::unique_ptr<JournalStore>> connect(Life& life, SimVfs* vfs);

 private:
  void watch_surroundings();
};

// What is wrong with a world once it is over; goes into its report.
void check_ledger(WorldParts& world);
void check_journal(WorldParts& world, const std::optional<Told>& told);
void check_outcome(WorldParts& world, const std::optional<Told>& told);
// Of a fork, when it is over: what it took over, what it did again, what it left alone.
void check_fork(WorldParts& world);
// Whether a fork had to be refused.
void check_refusal(WorldParts& world);

// The marks of all records of a run, as somebody outside reads them.
Result<std::map<JournalSeq, std::uint64_t>> read_marks(WorldParts& world,
                                                       const std::string& run_id);

}  // namespace sluice
