// Taking a run up where an earlier process left it; messages from other processes; snapshots.

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/failpoint.h"
#include "runtime/inbox.h"
#include "runtime/recovery.h"
#include "runtime/recovery_impl.h"
#include "runtime/run_loop_impl.h"

namespace sluice {
namespace {

constexpr std::size_t kRecordsAtOnce = 4096;
constexpr std::size_t kBytesAtOnce = 4 << 20;
constexpr std::size_t kRepeatedTold = 100;

void trace_plain(TraceSink* trace, TraceKind kind, SteadyNs at) {
  if (trace == nullptr) return;
  TraceEvent event;
  event.at = at;
  event.kind = kind;
  trace->on_trace(event);
}

}  // namespace

Result<void> read_records(
    Journal& journal, std::string_view run_id,
    const std::function<Result<void>(JournalSeq, const JournalRecord&)>& take) {
  JournalSeq first = 1;
  std::vector<std::pair<JournalSeq, JournalRecord>> piece;
  while (true) {
    piece.clear();
    std::size_t bytes = 0;
    auto read = journal.read(run_id, first, [&](JournalSeq seq, const JournalRecord& record) {
      bytes += record.body.size();
      piece.emplace_back(seq, record);
      return piece.size() < kRecordsAtOnce && bytes < kBytesAtOnce;
    });
    for (const auto& [seq, record] : piece) {
      if (auto taken = take(seq, record); !taken) return taken;
      first = seq + 1;
    }
    if (!read) return read;
    if (piece.empty()) return {};
  }
}

Result<void> RunLoop::Impl::read_journal(Recovery& recovery, JournalSeq& first, JournalSeq& last) {
  std::optional<std::pair<JournalSeq, JournalRecord>> behind;
  const bool loses = failpoint(Failpoint::kLoseLastEvent);
  return read_records(recorder->journal().journal, recorder->journal().lease.run_id,
                      [&](JournalSeq seq, const JournalRecord& record) -> Result<void> {
                        if (first == 0) first = seq;
                        last = seq;
                        if (!loses) return recovery.take(seq, record);
                        auto now = std::exchange(behind, std::pair(seq, record));
                        return now ? recovery.take(now->first, now->second) : Result<void>();
                      });
}

Result<ResumeReport> RunLoop::Impl::resume(const std::function<Result<void>()>& ready) {
  if (!recorder) return fail(ErrorCode::kInternal, "a run without a journal cannot be resumed");
  auto adopt = [this](const AdmitPlan& admit, const Value& recorded) {
    return host.adopt(admit, recorded);
  };
  Recovery recovery(plan, values, card.get(), adopt, false);
  Recovery::Impl& found = recovery.inside();
  JournalSeq first = 0;
  JournalSeq last = 0;
  trace_plain(trace, TraceKind::kRecoveryBegan, 0);
  if (auto read = read_journal(recovery, first, last); !read) return std::unexpected(read.error());
  recorder->continue_after(first, last);
  if (!found.begun) {
    return fail(ErrorCode::kRunUnknown,
                "the run's process ended before the run began: nothing was done; run it anew");
  }
  if (auto settled = found.settle(kBindRounds); !settled) return std::unexpected(settled.error());
  if (ready && !found.ended) {
    if (auto good = ready(); !good) return std::unexpected(good.error());
  }
  in_turn = true;  // who hears of it may stop what would begin now
  trace_plain(trace, TraceKind::kRecovered, found.core->at);
  in_turn = false;
  ResumeReport report;
  report.events = found.events;
  report.calls_done = found.calls_done;
  const SteadyNs lived = std::max(found.last_at, found.core->at);
  if (found.wall_ns != 0) {
    report.away_ns =
        std::max<std::int64_t>(0, host.wall_now() - (found.wall_ns + (lived - found.wall_at)));
  }
  last_message = std::max(last_message, found.last_message);
  core = std::move(found.core);
  for (Record& fact : found.ready) queue.push_back({std::move(fact), true, true});
  core->at = lived;
  base = lived - host.now();
  if (found.ended) {
    report.had_ended = true;
    close_again(*found.ended);
    return report;
  }
  recorder->append(
      {lived, RunResumedRecord{SLUICE_VERSION, recorder->journal().owner, host.wall_now()}});
  tell_card(true);
  for (const StepReplanned& form : core->state->replanned()) host.know_steps(form.plan);
  in_turn = true;  // the events that this leads to wait until all is carried out
  carry_out_again(report);
  if (found.last_returned) host.perform(*found.last_returned);
  in_turn = false;
  turn();
  return report;
}

// The process died between the run's last record and telling the store that it has ended.
void RunLoop::Impl::close_again(const RunEndedRecord& ended) {
  RunOutcome outcome = core->open.end ? *core->open.end : core->state->outcome(ended.status);
  outcome.status = ended.status;
  outcome.result = ended.result;
  closing = Closing{std::move(outcome), true, recorder->last(), false};
  try_to_close();
}

bool RunLoop::Impl::make_whole(EventRecord& record) {
  auto adopt = [this](const AdmitPlan& admit, const Value& recorded) {
    return host.adopt(admit, recorded);
  };
  return make_fact_whole(record, *core, values, adopt).has_value();
}

void RunLoop::Impl::carry_out_again(ResumeReport& report) {
  for (OpenCallEffect* call : core->open.calls()) {
    if (!known(EarlyFacts::call_key(call->start.call))) call_again(*call, report);
  }
  for (const auto& [id, open] : core->open.timers()) {
    if (known(EarlyFacts::timer_key(id))) continue;
    if (failpoint(Failpoint::kForgetTimerOnResume)) continue;
    SetTimer timer = open.timer;
    timer.delay_ns = std::max<std::int64_t>(0, timer.delay_ns - (core->at - open.set_at));
    host.set_timer(timer);
  }
  for (const auto& [task, admit] : core->open.admits()) {
    if (known(EarlyFacts::plan_key(task))) continue;
    if (admit.step != nullptr) {
      host.admit(admit);
      continue;
    }
    Event event;
    event.at = core->at;
    event.body = PlanRefused{task, Error(ErrorCode::kCancelled, "nobody wants the plan any more")};
    enqueue(std::move(event), true);
  }
  for (const auto& [ref, wait] : core->open.waits()) {
    if (!known(EarlyFacts::wait_key(ref))) host.begin_wait(wait);
  }
  if (core->open.end) end_decided();
}

void RunLoop::Impl::call_again(OpenCallEffect& call, ResumeReport& report) {
  if (!take_old_key(call)) return;
  if (call.doubt) {
    call.state = OpenCallEffect::State::kDoubtful;
    if (host.has_probe(call.start)) ask(call);
    return;
  }
  const bool left = call.intent && !failpoint(Failpoint::kForgetIntentOnResume);
  if (left) {
    report.asked.push_back(call.start.task_id);
    if (host.has_probe(call.start)) return ask(call);
    return settle_call(
        call,
        {call.start.call,
         CallFailed{Error(ErrorCode::kInDoubt, "the process ended while the call was under way"),
                    true},
         {}});
  }
  if (call.unwanted) {
    return settle_call(
        call, {call.start.call,
               CallFailed{Error(ErrorCode::kCancelled, "cancelled before the process ended")},
               {}});
  }
  ++report.repeated_count;
  if (report.repeated.size() < kRepeatedTold) report.repeated.push_back(call.start.task_id);
  if (failpoint(Failpoint::kReuseKey)) call.start.idempotency_key += "+";
  const CallRef ref = call.start.call;
  begin(call);
  OpenCallEffect* begun = core->open.find(ref);
  if (failpoint(Failpoint::kResumeTwice) && begun != nullptr) host.perform(begun->start);
}

// ---- messages ----

void RunLoop::Impl::take(const InboxMessage& message) {
  if (phase == Phase::kOver || closing) return;
  if (message.id <= last_message && !failpoint(Failpoint::kIgnoreMessageId)) return;
  last_message = std::max(last_message, message.id);
  Result<RunMessage> decoded = decode_message(message);
  if (!decoded) return note(decoded.error().to_string(), message.id);
  Event event;
  event.at = run_time(0);
  if (auto* signal = std::get_if<SignalMessage>(&*decoded)) {
    event.body = SignalReceived{message.id, signal->name, signal->task, signal->value};
    return enqueue(std::move(event), true);
  }
  if (auto* cancel = std::get_if<CancelMessage>(&*decoded)) {
    event.body = CancelRequested{message.id, cancel->reason};
    return enqueue(std::move(event), true);
  }
  resolve(message.id, std::get<ResolveMessage>(*decoded));
}

void RunLoop::Impl::resolve(std::uint64_t id, const ResolveMessage& message) {
  const auto doubts = core->state->doubts();
  auto found = std::ranges::find(doubts, message.task, &RunState::Doubt::task_id);
  OpenCallEffect* call = found == doubts.end() ? nullptr : core->open.find(found->call);
  if (call == nullptr) {
    return note(fmt::format("resolve: {} is not in doubt (any more)", message.task), id);
  }
  Event event;
  event.at = run_time(0);
  switch (message.verdict) {
    case ResolveMessage::Verdict::kDone: {
      const SchemaPtr& schema = call->start.step->logical.output;
      const bool own = call->start.call.call == 0 && !call->start.streaming && schema;
      if (own && !schema->validate(message.output).empty()) {
        return note(fmt::format("resolve: the output does not fit the schema of {}", message.task),
                    id);
      }
      event.body = CallEnded{found->call, CallReturned{message.output}, {}};
      break;
    }
    case ResolveMessage::Verdict::kFailed:
      event.body = CallEnded{
          found->call,
          CallFailed{Error(ErrorCode::kStepFailed, message.reason.empty()
                                                       ? "resolved as failed"
                                                       : "resolved as failed: " + message.reason)},
          {}};
      break;
    case ResolveMessage::Verdict::kRetry:
      event.body = CallResumed{found->call};
      break;
  }
  call->state = OpenCallEffect::State::kAnswered;  // what a probe still says comes too late
  enqueue(std::move(event), true, id);
}

void RunLoop::Impl::note(std::string text, std::uint64_t message) {
  if (!recorder) return;
  const JournalSeq seq =
      recorder->append({core->at, NoteRecord{std::move(text), host.wall_now(), message}});
  if (message != 0) recorder->acknowledge_after(seq, message);
  turn();
}

// ---- snapshots ----

void RunLoop::Impl::maybe_compact() {
  const std::uint64_t after = recorder->journal().compact_after;
  if (after == 0 || recorder->since_snapshot() < after || trouble_seen || closing) return;
  if (core->binding() || !core->sink.effects.empty() || !queue.empty() || core->open.end) return;
  SnapshotRecord snapshot;
  std::vector<Value> resting;
  snapshot.header = recorder->journal().header;
  snapshot.state = core->state->snapshot(&resting);
  snapshot.effects = core->save(&resting);
  snapshot.trace = card->save();
  snapshot.last_message = last_message;
  // A failure shows with the next append; until then all records are where they were.
  if (!journal_resting(resting)) return recorder->put_off_snapshot();
  if (!recorder->compact({core->at, std::move(snapshot)})) return;
  for (const Value& value : resting) core->binder.made().erase(value.blob_hash());
}

// A value that a step made of others comes from a bind: every replay made it again, and the journal
// does not have it. After the snapshot nobody makes it any more.
bool RunLoop::Impl::journal_resting(const std::vector<Value>& resting) {
  std::set<Hash256> done;
  std::vector<JournalContent> contents;
  std::size_t bytes = 0;
  // The snapshot takes the note's place as soon as it is there.
  auto append = [&] {
    recorder->append({core->at, NoteRecord{"large values", host.wall_now(), 0}},
                     std::exchange(contents, {}));
    bytes = 0;
  };
  for (const Value& reference : resting) {
    const Hash256 hash = reference.blob_hash();
    if (!core->binder.made().contains(hash) || !done.insert(hash).second) continue;
    auto whole = values.load(reference);
    if (!whole) return false;
    std::string encoded;
    const Value kept = values.keep(std::move(*whole), &encoded);
    if (encoded.empty() || kept.blob_hash() != hash) return false;
    bytes += encoded.size();
    contents.push_back({hash, std::move(encoded)});
    if (bytes >= kBytesAtOnce) append();
  }
  if (!contents.empty()) append();
  return true;
}

}  // namespace sluice
