#include "runtime/run_loop.h"

#include <algorithm>
#include <utility>

#include "base/failpoint.h"
#include "plan/physical_codec.h"
#include "runtime/run_loop_impl.h"

namespace sluice {

namespace {

void rest_value(ValueStore& values, Value& value, std::vector<JournalContent>* contents) {
  std::string encoded;
  value = values.keep(std::move(value), contents == nullptr ? nullptr : &encoded);
  if (encoded.empty() || value.kind() != Value::Kind::kBlob) return;
  contents->push_back({value.blob_hash(), std::move(encoded)});
}

}  // namespace

JournalBatch first_records(const RunHeader& header, const RunOptions& options, ValueStore& values) {
  JournalBatch first;
  first.records.push_back(encode_record({0, header}));
  RunStarted started{options.run_id, options.params, options.seed};
  rest_value(values, started.params, &first.contents);
  EventRecord record;
  record.event = {1, std::move(started)};
  record.digest = DecisionDigest().mark();
  first.records.push_back(encode_record({1, std::move(record)}));
  return first;
}

RunLoop::Impl::Impl(PhysicalPlanPtr plan_in, Host& host_in, ValueStore& values_in,
                    TraceSink* trace_in, std::function<void(RunOutcome)> end)
    : plan(std::move(plan_in)),
      host(host_in),
      values(values_in),
      trace(trace_in),
      core(std::make_unique<RunCore>(plan, values, trace)),
      on_end(std::move(end)) {}

void RunLoop::Impl::record_in(RunJournal given) {
  card = std::make_unique<CardFold>(trace);
  core = std::make_unique<RunCore>(plan, values, card.get());
  recorder = std::make_unique<Recorder>(std::move(given), host, [weak = weak_from_this()] {
    if (auto self = weak.lock()) self->frontier_moved();
  });
}

void RunLoop::Impl::start(const RunOptions& options) {
  base = 1 - host.now();
  if (recorder) {
    recorder->continue_after(1, recorder->journal().begun);
    tell_card(true);
  }
  Event event;
  event.at = 1;
  event.body = RunStarted{options.run_id, options.params, options.seed};
  enqueue(std::move(event), true);
}

SteadyNs RunLoop::Impl::run_time(SteadyNs host_at) const {
  return (host_at == 0 ? host.now() : host_at) + base;
}

void RunLoop::Impl::deliver(Event event) {
  event.at = run_time(event.at);
  enqueue(std::move(event), false);
}

void RunLoop::Impl::enqueue(Event event, bool settled, std::uint64_t message) {
  if (phase == Phase::kOver) return;
  EventRecord record;
  record.event = std::move(event);
  record.message = message;
  queue.push_back({Record{record.event.at, std::move(record)}, false, settled});
  turn();
}

// Binds enter before the next outside event. A loop of values alone could go on for hours: every so
// often the host gets its turn, and whoever stops the run is heard.
void RunLoop::Impl::turn() {
  if (in_turn || phase == Phase::kOver) return;
  in_turn = true;
  while (phase != Phase::kOver) {
    if (core->binding()) {
      if (posted && !stopping() && !next_is_urgent()) break;
      if (!posted || stopping()) bind_some();
      if (core->binding() && !stopping() && !next_is_urgent()) {
        if (posted) break;
        posted = true;
        host.post([weak = weak_from_this()] {
          auto self = weak.lock();
          if (!self) return;
          self->posted = false;
          self->turn();
        });
        if (posted) break;
        continue;
      }
    }
    if (queue.empty()) break;
    Taken next = std::move(queue.front());
    queue.pop_front();
    handle(std::move(next));
  }
  in_turn = false;
  after_turn();
}

bool RunLoop::Impl::bind_some() {
  for (std::uint32_t round = 0; round < kBindRounds && core->bind_round(); ++round) {
  }
  carry_out();
  return !core->binding();
}

// A cancellation need not wait until all is bound.
bool RunLoop::Impl::next_is_urgent() {
  for (auto taken = queue.begin(); taken != queue.end(); ++taken) {
    const auto* fact = std::get_if<EventRecord>(&taken->record.body);
    if (fact == nullptr || !std::holds_alternative<CancelRequested>(fact->event.body)) continue;
    Taken urgent = std::move(*taken);
    queue.erase(taken);
    queue.push_front(std::move(urgent));
    return true;
  }
  return false;
}

// A mistake to be found: a reply to an earlier attempt ends the one that is under way.
static void take_for_current(OpenEffects& open, Event& event) {
  auto* ended = std::get_if<CallEnded>(&event.body);
  if (ended == nullptr || open.find(ended->call) != nullptr) return;
  for (const OpenCallEffect* call : open.calls()) {
    CallRef same = call->start.call;
    same.attempt = ended->call.attempt;
    if (same == ended->call) ended->call = call->start.call;
  }
}

void RunLoop::Impl::handle(Taken taken) {
  if (core->state->ended() || core->lost) return;
  if (taken.journaled) return handle_early(std::move(taken.record));
  auto& record = std::get<EventRecord>(taken.record.body);
  Event& event = record.event;
  event.at = std::max({event.at, core->at, SteadyNs{1}});
  auto* replanned = std::get_if<StepReplanned>(&event.body);
  if (replanned != nullptr) {
    if (!place_replanned(*replanned)) return;
    host.know_steps(replanned->plan);
  }
  if (failpoint(Failpoint::kLateEndTaken)) take_for_current(core->open, event);
  if (!core->open.expects(event)) {
    // It came too late, but it was taken: after a crash it must not come again.
    if (record.message != 0) note("what a message was about was settled before", record.message);
    return;
  }
  if (!taken.settled && !let_through(event)) return;
  journal_event(record);
  core->apply(event);
  if (!core->binding()) carry_out();
}

bool RunLoop::Impl::place_replanned(StepReplanned& replanned) const {
  if (stopping() || !core->state->may_replan(replanned.step)) return false;
  replanned.from_item = core->state->first_not_begun(replanned.step);
  return true;
}

// Whether a fact about this waits in the queue: nobody is asked for what is known.
bool RunLoop::Impl::known(const EarlyFacts::Key& about) const {
  return std::ranges::any_of(queue, [&](const Taken& taken) {
    return taken.journaled && EarlyFacts::key_of(taken.record) == about;
  });
}

// A fact about something that was decided just now, but that an older program decided earlier.
void RunLoop::Impl::handle_early(Record fact) {
  const auto about = EarlyFacts::key_of(fact);
  if (auto* intent = std::get_if<IntentRecord>(&fact.body)) {
    core->open.intended(*intent);
  } else {
    auto& record = std::get<EventRecord>(fact.body);
    record.event.at = core->at;
    if (core->open.expects(record.event) && make_whole(record)) core->apply(record.event);
    if (!core->binding()) carry_out();
  }
  const CallRef* ref = about ? EarlyFacts::call_of(*about) : nullptr;
  OpenCallEffect* call = ref != nullptr && !known(*about) ? core->open.find(*ref) : nullptr;
  if (call == nullptr || call->in_hands() || stopping()) return;
  ResumeReport ignored;
  call_again(*call, ignored);
}

// What calls give goes to the store before the state machine holds it; what happened goes to the
// journal before it leads to anything.
void RunLoop::Impl::journal_event(EventRecord& record) {
  std::vector<JournalContent> contents;
  std::vector<JournalContent>* into = recorder ? &contents : nullptr;
  auto& body = record.event.body;
  if (std::holds_alternative<RunStarted>(body)) {
    core->digest.mark();  // its record is in the journal since the run is
    return;
  }
  Value whole;  // what the state machine wants as it is, although the record names it
  if (auto* ended = std::get_if<CallEnded>(&body)) {
    if (auto* returned = std::get_if<CallReturned>(&ended->outcome)) rest(returned->output, into);
  } else if (auto* item = std::get_if<ItemEmitted>(&body)) {
    rest(item->item, into);
  } else if (recorder) {
    if (auto* signal = std::get_if<SignalReceived>(&body)) {
      whole = signal->value;
      rest(signal->value, into);
    }
    if (auto* admitted = std::get_if<PlanAdmitted>(&body)) {
      record.admitted = encode_physical(*admitted->plan);
      rest(record.admitted, into);
    }
    if (auto* replanned = std::get_if<StepReplanned>(&body)) {
      record.admitted = encode_physical(*replanned->plan);
      rest(record.admitted, into);
    }
  }
  if (!recorder) return;
  record.rounds = core->binding() ? core->rounds : 0;
  record.digest = core->digest.mark();
  Record journaled{record.event.at, std::move(record)};
  const JournalSeq seq = recorder->append(journaled, std::move(contents));
  if (const std::uint64_t id = record_message(journaled); id != 0) {
    recorder->acknowledge_after(seq, id);
  }
  record = std::move(std::get<EventRecord>(journaled.body));
  if (auto* signal = std::get_if<SignalReceived>(&body)) signal->value = std::move(whole);
}

void RunLoop::Impl::rest(Value& value, std::vector<JournalContent>* contents) {
  rest_value(values, value, contents);
}

void RunLoop::Impl::after_turn() {
  if (phase == Phase::kOver) return;
  if (recorder) {
    if (recorder->trouble() && !trouble_seen) return in_trouble();
    if (!leaving.empty() && leaving.front().first <= recorder->durable()) frontier_moved();
    if (phase == Phase::kOver) return;
    tell_card(false);
    maybe_compact();
  }
  if (core->lost && !closing) return lose();
  if (closing) return try_to_close();
  const bool idle = queue.empty() && (stopping() || core->open.end) && core->open.in_hands() == 0;
  if (!idle) return;
  if (stopping()) {
    const bool doubt = core->open.end && core->open.end->status == RunStatus::kInDoubt;
    return close_with(core->state->outcome(doubt ? RunStatus::kInDoubt : RunStatus::kInterrupted),
                      false);
  }
  if (!core->binding()) end_in_doubt();
}

RunLoop::RunLoop(PhysicalPlanPtr plan, Host& host, ValueStore& values, TraceSink* trace,
                 std::function<void(RunOutcome)> on_end)
    : impl_(std::make_shared<Impl>(std::move(plan), host, values, trace, std::move(on_end))) {}
RunLoop::~RunLoop() = default;

// `impl` in each: on_end may destroy the loop.
void RunLoop::record_in(RunJournal journal) { impl_->record_in(std::move(journal)); }
void RunLoop::reuse(std::shared_ptr<const ReuseTable> table) { impl_->reuse = std::move(table); }
void RunLoop::start(const RunOptions& options) {
  auto impl = impl_;
  impl->start(options);
}
Result<ResumeReport> RunLoop::resume(const std::function<Result<void>()>& ready) {
  auto impl = impl_;
  return impl->resume(ready);
}
void RunLoop::deliver(Event event) {
  auto impl = impl_;
  impl->deliver(std::move(event));
}
void RunLoop::probed(CallProbed probed) {
  auto impl = impl_;
  impl->probed(std::move(probed));
}
void RunLoop::take(const InboxMessage& message) {
  auto impl = impl_;
  impl->take(message);
}
std::uint64_t RunLoop::last_message() const { return impl_->last_message; }
void RunLoop::interrupt() {
  auto impl = impl_;
  impl->interrupt();
}
void RunLoop::cancel(std::string reason) {
  auto impl = impl_;
  Event event;
  event.body = CancelRequested{0, std::move(reason)};
  impl->deliver(std::move(event));
}
void RunLoop::replan(std::uint32_t step, PhysicalPlanPtr plan, std::string why) {
  auto impl = impl_;
  Event event;
  event.body = StepReplanned{step, 0, std::move(plan), std::move(why)};
  impl->deliver(std::move(event));
}
void RunLoop::drain() {
  auto impl = impl_;
  impl->stop_new();
}
const RunState& RunLoop::state() const { return *impl_->core->state; }

}  // namespace sluice
