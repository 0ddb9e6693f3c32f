// The audit of a history: its journal read back and replayed. Inside of simulate/. One thread.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "runtime/record.h"
#include "runtime/trace.h"
#include "simulate/sim_values.h"
#include "simulate/world_parts.h"

namespace sluice {

// What a replay of the journal shows of the run.
class History final : public TraceSink {
 public:
  // `world` learns of returned calls when somebody asks for them.
  History(WorldParts& world, SimValues& values) : world_(world), values_(values) {}
  void on_trace(const TraceEvent& event) override;
  void on_call_end(const StartCall& start, const CallEnded& ended);

  struct Finished {
    CallIdentity call;
    bool undo = false;
    bool can_be_undone = false;
  };
  std::vector<Finished> returned;                          // in the order of completion
  std::set<std::pair<CallIdentity, std::uint32_t>> calls;  // with their attempts, that ended
  std::map<std::int64_t, TaskRef> signal_values;           // what waits gave, of what people sent
  std::string wrong;                                       // with signals; or ""
  bool whole = true;                                       // false: its beginning was compacted

 private:
  void learn(const StartCall& start, const CallReturned& returned);

  WorldParts& world_;
  SimValues& values_;
  std::map<TaskRef, Value> taken_;  // the signal that a wait took
};

}  // namespace sluice
