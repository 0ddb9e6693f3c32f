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

inline constexpr std::string_view kSimRun = "run0";
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

// What a user was told when a process ended.
struct Told {
  RunOutcome outcome;
  std::vector<RunState::Doubt> doubts;
  bool result_read = true;  // false: the disk failed just then, and nobody saw the result
};

struct WorldParts {
  explicit WorldParts(const Scenario& of);

  const Scenario& scenario;
  SimPlanPtr plan;
  EventQueue queue;
  Ledger ledger;
  SimTools tools;
  SimSurroundings surroundings;
  DeathPlan deaths;
  Promises promises;
  Random random;  // for what is nobody else's

  // One of the two.
  std::unique_ptr<SimMachine> machine;
  SharedStore memory;

  WorldReport report;
  std::map<CallIdentity, std::string> keys;    // of calls that left
  std::map<std::string, CallIdentity> owners;  // of keys
  std::vector<CallIdentity> undone;  // what was sent to be undone, in order; the base call
  bool rotten = false;
  bool cancel_asked = false;
  bool power_goes = false;
  bool tools_were_down = false;
  std::uint32_t processes = 0;

  void violate(std::string_view check, std::string what);
  // A connection to the store, for a process or for somebody outside.
  Result<std::unique_ptr<JournalStore>> connect(Life& life, SimVfs* vfs);
};

// What is wrong with a world once it is over; goes into its report.
void check_ledger(WorldParts& world);
void check_journal(WorldParts& world, const std::optional<Told>& told);
void check_outcome(WorldParts& world, const std::optional<Told>& told);

}  // namespace sluice
