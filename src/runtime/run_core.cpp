#include "runtime/run_core.h"

#include "runtime/wire.h"

namespace sluice {

std::string RunCore::save(std::vector<Value>* resting) const {
  WireWriter out;
  out.text(open.encode_admitted(*state, resting));
  out.text(open.encode(*state, resting));
  out.text(early.encode());
  out.fixed64(digest.chain());
  return out.take();
}

Result<void> RunCore::restore(const SnapshotRecord& snapshot, const PhysicalPlanPtr& plan,
                              const FindAdmitted& find, TraceSink* trace) {
  WireReader in(snapshot.effects);
  std::string_view admitted = in.text();
  std::string_view effects = in.text();
  std::string_view facts = in.text();
  digest.restart(in.fixed64());
  if (!in.good_end()) {
    return fail(ErrorCode::kJournalDamaged, "the effects of a snapshot are damaged");
  }
  if (auto done = open.decode_admitted(admitted, effects); !done) return done;
  auto restored = RunState::restore(
      snapshot.state, plan,
      [&](const AdmissionRef& admission, const PhysicalStep& step,
          const Value& recorded) -> Result<PhysicalPlanPtr> {
        const AdmitPlan* known = open.find_admitted(admission);
        if (known == nullptr) {
          return fail(ErrorCode::kJournalDamaged, "a snapshot lacks a plan that it admitted");
        }
        AdmitPlan admit = *known;
        admit.step = &step;
        return find(admit, recorded);
      },
      trace);
  if (!restored) return std::unexpected(restored.error());
  state = std::move(*restored);
  if (auto done = open.decode(effects, *state); !done) return done;
  return early.decode(facts);
}

}  // namespace sluice
