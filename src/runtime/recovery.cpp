#include "runtime/recovery.h"

#include <fmt/format.h>

#include <utility>

#include "base/failpoint.h"
#include "base/overloaded.h"
#include "plan/physical_codec.h"
#include "runtime/recovery_impl.h"

namespace sluice {
namespace {

constexpr std::uint32_t kReaderRounds = 100'000;
constexpr std::size_t kDecisionsTold = 8;

std::unexpected<Error> out_of_place(JournalSeq seq, std::string_view what) {
  return fail(ErrorCode::kJournalDamaged,
              fmt::format("record {} cannot follow those before it: {}", seq, what));
}

// The plan's other form belongs to the same logical plan.
Result<void> read_replanned(StepReplanned& replanned, const Value& recorded,
                            const RunState& state) {
  if (!state.may_replan(replanned.step)) {
    return fail(ErrorCode::kJournalDamaged, "a step has another plan that cannot have one");
  }
  const PhysicalStep& step = state.step({0, replanned.step, kNoIndex});
  auto plan = decode_physical(recorded, step.plan->logical);
  if (!plan) return std::unexpected(plan.error());
  replanned.plan = std::move(*plan);
  if (failpoint(Failpoint::kFormOfAllItems)) replanned.from_item = 0;
  return {};
}

}  // namespace

Result<void> make_fact_whole(EventRecord& record, const RunCore& core, ValueStore& values,
                             const AdoptPlan& adopt) {
  auto load = [&](Value& value) -> Result<void> {
    auto whole = values.load(value);
    if (!whole) return std::unexpected(whole.error());
    value = std::move(*whole);
    return {};
  };
  auto& body = record.event.body;
  if (auto* started = std::get_if<RunStarted>(&body)) return load(started->params);
  if (auto* signal = std::get_if<SignalReceived>(&body)) return load(signal->value);
  if (auto* replanned = std::get_if<StepReplanned>(&body)) {
    if (auto loaded = load(record.admitted); !loaded) return loaded;
    return read_replanned(*replanned, record.admitted, *core.state);
  }
  auto* admitted = std::get_if<PlanAdmitted>(&body);
  if (admitted == nullptr) return {};
  auto open = core.open.admits().find(admitted->task);
  if (open == core.open.admits().end()) {
    return fail(ErrorCode::kJournalDamaged, "a plan was admitted that no step produced");
  }
  if (open->second.step == nullptr) return {};  // for a task that has gone: nobody looks at it
  AdmitPlan admit = open->second;
  if (auto loaded = load(record.admitted); !loaded) return loaded;
  if (auto loaded = load(admit.plan); !loaded) return loaded;
  if (auto loaded = load(admit.args); !loaded) return loaded;
  auto plan_of_task = adopt(admit, record.admitted);
  if (!plan_of_task) return std::unexpected(plan_of_task.error());
  admitted->plan = std::move(*plan_of_task);
  return {};
}

Recovery::Impl::Impl(PhysicalPlanPtr plan_in, ValueStore& values_in, TraceSink* trace_in,
                     AdoptPlan adopt_in, bool check_in)
    : plan(std::move(plan_in)),
      values(values_in),
      trace(trace_in),
      adopt(std::move(adopt_in)),
      check(check_in),
      core(std::make_unique<RunCore>(plan, values, trace)) {}

Result<void> Recovery::Impl::take(JournalSeq seq, const JournalRecord& encoded) {
  Result<Record> decoded = decode_record(encoded);
  if (!decoded) {
    return fail(decoded.error().code(),
                fmt::format("record {}: {}", seq, decoded.error().message()));
  }
  Record& record = *decoded;
  if (ended) return out_of_place(seq, "the run has ended");
  last_message = std::max(last_message, record_message(record));
  last_at = std::max(last_at, record.at);
  if (std::holds_alternative<EventRecord>(record.body)) return take_event(seq, std::move(record));
  return std::visit(Overloaded{
                        [&](RunHeader& body) -> Result<void> {
                          seen_wall(body.wall_ns, record.at);
                          if (header || begun) return out_of_place(seq, "a second header");
                          header = std::move(body);
                          return {};
                        },
                        [&](RunResumedRecord& body) -> Result<void> {
                          seen_wall(body.wall_ns, record.at);
                          return {};
                        },
                        [&](IntentRecord&) -> Result<void> {
                          // Appended as soon as it was decided, maybe before all was bound.
                          auto settled = settle(kBindRounds);
                          if (settled) take_intent(record);
                          return settled;
                        },
                        [&](RunEndedRecord& body) -> Result<void> {
                          ended = std::move(body);
                          return settle(0);
                        },
                        [&](SnapshotRecord& body) -> Result<void> {
                          if (begun) return out_of_place(seq, "a snapshot in the middle");
                          return restore(body, record.at);
                        },
                        [&](NoteRecord& body) -> Result<void> {
                          seen_wall(body.wall_ns, record.at);
                          return {};
                        },
                        [](EventRecord&) -> Result<void> { return {}; },
                    },
                    record.body);
}

void Recovery::Impl::seen_wall(WallNs wall, SteadyNs at) {
  if (wall == 0) return;
  wall_ns = wall;
  wall_at = at;
}

Result<void> Recovery::Impl::restore(const SnapshotRecord& snapshot, SteadyNs at) {
  begun = true;
  header = snapshot.header;
  seen_wall(snapshot.header.wall_ns, 0);
  auto find = [&](const AdmitPlan& admit, const Value& recorded) -> Result<PhysicalPlanPtr> {
    auto whole = values.load(recorded);
    if (!whole) return std::unexpected(whole.error());
    return adopt(admit, *whole);
  };
  auto done = core->restore(snapshot, plan, find, trace);
  if (!done) return done;
  core->at = at;
  if (trace != nullptr) trace->restored(snapshot.trace);
  core->state->tell_replanned();
  return {};
}

// The intent stands behind the event that led to the call; a newer program may not be there yet.
void Recovery::Impl::take_intent(const Record& record) {
  const auto& intent = std::get<IntentRecord>(record.body);
  if (core->open.find(intent.call) == nullptr) return core->early.keep(record);
  core->open.intended(intent);
}

Result<void> Recovery::Impl::take_event(JournalSeq seq, Record record) {
  auto& fact = std::get<EventRecord>(record.body);
  const bool starts = std::holds_alternative<RunStarted>(fact.event.body);
  if (starts == begun) {
    return out_of_place(seq, starts ? "the run starts twice" : "the run has not started");
  }
  begun = true;
  if (auto settled = settle(fact.rounds); !settled) return settled;
  compare(seq, fact);
  ++events;
  if (!core->open.expects(fact.event)) {
    core->early.keep(std::move(record));
    return {};
  }
  return apply(fact);
}

Result<void> Recovery::Impl::apply(EventRecord& record) {
  if (auto whole = make_fact_whole(record, *core, values, adopt); !whole) return whole;
  Event& event = record.event;
  event.at = std::max(event.at, core->at);
  if (const auto* end = std::get_if<CallEnded>(&event.body)) {
    const auto* failed = std::get_if<CallFailed>(&end->outcome);
    const bool doubt = failed != nullptr && failed->doubt;
    if (!doubt) ++calls_done;
    OpenCallEffect* call = doubt ? nullptr : core->open.find(end->call);
    if (call != nullptr && on_call_end) on_call_end(call->start, *end);
    if (call != nullptr && failpoint(Failpoint::kRedoReturnedCall)) last_returned = call->start;
  }
  if (const auto* resumed = std::get_if<CallResumed>(&event.body)) {
    const OpenCallEffect* call = core->open.find(resumed->call);
    if (call != nullptr && on_call_resumed) on_call_resumed(call->start);
  }
  decisions.clear();
  core->apply(event);
  return {};
}

Result<void> Recovery::Impl::settle(std::uint32_t rounds) {
  while (true) {
    while ((rounds == 0 || core->rounds < rounds) && core->bind_round()) {
    }
    note_effects();
    if (core->lost) return std::unexpected(*core->lost);
    if (core->binding() || ready.empty()) return {};
    Record record = std::move(ready.front());
    ready.pop_front();
    if (std::holds_alternative<IntentRecord>(record.body)) {
      take_intent(record);
    } else if (auto applied = apply(std::get<EventRecord>(record.body)); !applied) {
      return applied;
    }
  }
}

void Recovery::Impl::note_effects() {
  for (RunEffect& effect : core->sink.effects) {
    core->digest.add(effect);
    if (check && decisions.size() < kDecisionsTold) decisions.push_back(describe_effect(effect));
    std::vector<Record> facts = core->early.take(effect);
    core->open.decided(std::move(effect), core->at);
    for (Record& record : facts) {
      if (ready.empty() && std::holds_alternative<IntentRecord>(record.body)) {
        take_intent(record);
      } else {
        ready.push_back(std::move(record));
      }
    }
  }
  core->sink.effects.clear();
}

void Recovery::Impl::compare(JournalSeq seq, const EventRecord& record) {
  const std::uint32_t now = core->digest.mark();
  if (record.digest == 0) return;
  core->digest.restart(record.digest);
  if (!check || difference || now == record.digest) return;
  std::string told;
  for (const std::string& decision : decisions) told += (told.empty() ? "" : "; ") + decision;
  if (told.empty()) told = "nothing";
  difference = ReplayDifference{seq, fmt::format("other decisions (digest {:08x})", record.digest),
                                fmt::format("{} (digest {:08x})", told, now)};
}

Recovery::Recovery(PhysicalPlanPtr plan, ValueStore& values, TraceSink* trace, AdoptPlan adopt,
                   bool check)
    : impl_(std::make_unique<Impl>(std::move(plan), values, trace, std::move(adopt), check)) {}
Recovery::~Recovery() = default;

Result<void> Recovery::take(JournalSeq seq, const JournalRecord& record) {
  return impl_->take(seq, record);
}
RunState& Recovery::state() {
  (void)impl_->settle(kReaderRounds);
  return *impl_->core->state;
}
const std::optional<RunHeader>& Recovery::header() const { return impl_->header; }
const std::optional<ReplayDifference>& Recovery::difference() const { return impl_->difference; }
std::uint64_t Recovery::events() const { return impl_->events; }
const std::optional<RunEndedRecord>& Recovery::ended() const { return impl_->ended; }
std::uint64_t Recovery::last_message() const { return impl_->last_message; }
void Recovery::on_call_end(std::function<void(const StartCall&, const CallEnded&)> call) {
  impl_->on_call_end = std::move(call);
}
void Recovery::on_call_resumed(std::function<void(const StartCall&)> call) {
  impl_->on_call_resumed = std::move(call);
}

}  // namespace sluice
