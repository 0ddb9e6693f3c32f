// RunCore: the state machine with what must always go with it: the binder, the effects that are
// open, the fingerprint of decisions, facts that came early. The run loop drives it live, Recovery
// over a journal; after a recovery the loop goes on with the very same one. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/binder.h"
#include "runtime/digest.h"
#include "runtime/early_facts.h"
#include "runtime/open_effects.h"
#include "runtime/run_state.h"

namespace sluice {

// Rounds of binds between two chances for the host. Journals hold it: never less.
inline constexpr std::uint32_t kBindRounds = 2000;

struct RunCore {
  RunCore(PhysicalPlanPtr plan, ValueStore& values, TraceSink* trace)
      : state(std::make_unique<RunState>(std::move(plan), trace)), binder(values) {}

  void apply(const Event& event) {
    at = event.at;
    rounds = 0;
    open.happened(event);
    state->apply(std::span<const Event>(&event, 1), sink);
    if (open.may_forget_admitted()) open.keep_admitted(state->admissions());
  }

  // False when nothing is to be bound.
  bool bind_round() {
    if (sink.binds.empty() || lost) return false;
    binds.clear();
    binds.swap(sink.binds);
    bounds.clear();
    binder.bind(*state, binds, bounds);
    if (binder.lost()) {
      lost = binder.lost();
      sink.binds.swap(binds);
      return false;
    }
    ++rounds;
    state->apply_bound(at, bounds, sink);
    return true;
  }
  bool binding() const { return !sink.binds.empty(); }

  std::unique_ptr<RunState> state;
  Binder binder;
  EffectSink sink;
  OpenEffects open;
  DecisionDigest digest;
  EarlyFacts early;
  // A value could not be read back from where it rests: no fault of a task. Nothing goes on.
  std::optional<Error> lost;
  SteadyNs at = 0;           // of the last event
  std::uint32_t rounds = 0;  // of binds since then

  // For SnapshotRecord::effects. Between turns only: nothing is bound, no effect waits. `resting`
  // as in RunState::snapshot.
  std::string save(std::vector<Value>* resting = nullptr) const;
  // `find` adopts what an earlier process admitted.
  using FindAdmitted = std::function<Result<PhysicalPlanPtr>(const AdmitPlan&, const Value&)>;
  Result<void> restore(const SnapshotRecord& snapshot, const PhysicalPlanPtr& plan,
                       const FindAdmitted& find, TraceSink* trace);

 private:
  std::vector<BindRequest> binds;
  std::vector<Bound> bounds;
};

}  // namespace sluice
