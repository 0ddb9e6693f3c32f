#include "runtime/record.h"

#include <fmt/format.h>

#include <array>

#include "base/overloaded.h"
#include "runtime/wire.h"

namespace sluice {
namespace {

struct TypeRow {
  RecordType type;
  std::string_view name;
  std::uint16_t version;  // the newest; every older one is read too
};
constexpr auto kTypes = std::to_array<TypeRow>({
    {RecordType::kHeader, "header", 1},
    {RecordType::kResumed, "resumed", 1},
    {RecordType::kIntent, "intent", 1},
    {RecordType::kEnded, "ended", 1},
    {RecordType::kSnapshot, "snapshot", 1},
    {RecordType::kNote, "note", 1},
    {RecordType::kRunStarted, "run_started", 1},
    {RecordType::kCallEnded, "call_ended", 2},
    {RecordType::kItemEmitted, "item_emitted", 1},
    {RecordType::kPlanAdmitted, "plan_admitted", 1},
    {RecordType::kPlanRefused, "plan_refused", 1},
    {RecordType::kTimerFired, "timer_fired", 1},
    {RecordType::kWaitBegan, "wait_began", 1},
    {RecordType::kSignalReceived, "signal_received", 1},
    {RecordType::kCancelRequested, "cancel_requested", 1},
    {RecordType::kCallResumed, "call_resumed", 1},
    {RecordType::kStepReplanned, "step_replanned", 1},
});

const TypeRow* find_type(std::uint16_t type) {
  for (const TypeRow& row : kTypes) {
    if (static_cast<std::uint16_t>(row.type) == type) return &row;
  }
  return nullptr;
}

// What stands before an event's own body.
enum EventFlag : std::uint8_t { kHasRounds = 1, kHasDigest = 2, kHasMessage = 4 };
enum class Outcome : std::uint8_t {
  kReturned,
  kCached,
  kFailed,
  kDoubt,
  kToolsWanted,
  // Since version 2.
  kEqual,
  kEarlierRun,
  kHedged,
};
constexpr std::uint64_t kMostFiles = 100'000;

// ---- writing ----

void put_header(WireWriter& out, const RunHeader& header) {
  out.text(header.run_id);
  out.text(header.program);
  out.number(header.files.size());
  for (const auto& [name, text] : header.files) {
    out.text(name);
    out.text(text);
  }
  out.value(header.physical);
  out.value(header.settings);
  out.whole(header.wall_ns);
  out.text(header.forked_from);
  out.text(header.fork_step);
}

Outcome outcome_of(const CallReturned& returned) {
  switch (returned.from) {
    case CallReturned::From::kCall:
      return returned.cached ? Outcome::kCached : Outcome::kReturned;
    case CallReturned::From::kEqual:
      return Outcome::kEqual;
    case CallReturned::From::kEarlierRun:
      return Outcome::kEarlierRun;
    case CallReturned::From::kHedged:
      return Outcome::kHedged;
  }
  return Outcome::kReturned;
}

CallReturned returned_as(Outcome outcome, Value output) {
  using From = CallReturned::From;
  const bool cached = outcome != Outcome::kReturned && outcome != Outcome::kHedged;
  const From from = outcome == Outcome::kEqual        ? From::kEqual
                    : outcome == Outcome::kEarlierRun ? From::kEarlierRun
                    : outcome == Outcome::kHedged     ? From::kHedged
                                                      : From::kCall;
  return {std::move(output), cached, from};
}

// The oldest one that says it: what older programs know they can read.
std::uint16_t version_of(const Record& record, const TypeRow& row) {
  const auto* event = std::get_if<EventRecord>(&record.body);
  const auto* ended = event == nullptr ? nullptr : std::get_if<CallEnded>(&event->event.body);
  if (ended == nullptr) return row.version;
  const auto* returned = std::get_if<CallReturned>(&ended->outcome);
  return returned != nullptr && outcome_of(*returned) >= Outcome::kEqual ? 2 : 1;
}

void put_call_ended(WireWriter& out, const CallEnded& ended) {
  out.call(ended.call);
  std::visit(
      Overloaded{
          [&](const CallReturned& returned) {
            out.byte(static_cast<std::uint8_t>(outcome_of(returned)));
            out.value(returned.output);
          },
          [&](const CallFailed& failed) {
            out.byte(static_cast<std::uint8_t>(failed.doubt ? Outcome::kDoubt : Outcome::kFailed));
            out.error(failed.error);
          },
          [&](const ToolsWanted& wanted) {
            out.byte(static_cast<std::uint8_t>(Outcome::kToolsWanted));
            out.value(wanted.message);
            out.value(wanted.calls);
          },
      },
      ended.outcome);
  out.usage(ended.usage);
}

void put_wait(WireWriter& out, const WaitBegan& wait) {
  out.call(wait.call);
  out.text(wait.signal);
  out.whole(wait.until_wall_ns);
  out.flag(wait.has_value);
  if (wait.has_value) out.value(wait.value);
  out.text(wait.of);
  out.text(wait.ask);
  out.flag(wait.error.has_value());
  if (wait.error) out.error(*wait.error);
}

void put_event(WireWriter& out, const EventRecord& record) {
  out.byte(static_cast<std::uint8_t>((record.rounds != 0 ? kHasRounds : 0) |
                                     (record.digest != 0 ? kHasDigest : 0) |
                                     (record.message != 0 ? kHasMessage : 0)));
  if (record.rounds != 0) out.number(record.rounds);
  if (record.digest != 0) out.fixed32(record.digest);
  if (record.message != 0) out.number(record.message);
  std::visit(Overloaded{
                 [&](const RunStarted& body) {
                   out.text(body.run_id);
                   out.value(body.params);
                   out.fixed64(body.seed);
                 },
                 [&](const CallEnded& body) { put_call_ended(out, body); },
                 [&](const CallResumed& body) { out.call(body.call); },
                 [&](const ItemEmitted& body) {
                   out.call(body.call);
                   out.value(body.item);
                 },
                 [&](const PlanAdmitted& body) {
                   out.task(body.task);
                   out.value(record.admitted);
                 },
                 [&](const PlanRefused& body) {
                   out.task(body.task);
                   out.error(body.error);
                 },
                 [&](const TimerFired& body) { out.fixed64(body.timer); },
                 [&](const WaitBegan& body) { put_wait(out, body); },
                 [&](const SignalReceived& body) {
                   out.number(body.message);
                   out.text(body.name);
                   out.text(body.task);
                   out.value(body.value);
                 },
                 [&](const CancelRequested& body) {
                   out.number(body.message);
                   out.text(body.reason);
                 },
                 [&](const StepReplanned& body) {
                   out.number(body.step);
                   out.number(body.from_item);
                   out.text(body.why);
                   out.value(record.admitted);
                 },
             },
             record.event.body);
}

void put_body(WireWriter& out, const Record& record) {
  std::visit(Overloaded{
                 [&](const RunHeader& body) { put_header(out, body); },
                 [&](const RunResumedRecord& body) {
                   out.text(body.program);
                   out.text(body.owner);
                   out.whole(body.wall_ns);
                 },
                 [&](const IntentRecord& body) {
                   out.call(body.call);
                   out.flag(body.withdrawn);
                 },
                 [&](const RunEndedRecord& body) {
                   out.byte(static_cast<std::uint8_t>(body.status));
                   out.number(body.errors.size());
                   for (const std::string& error : body.errors) out.text(error);
                   out.value(body.result);
                 },
                 [&](const SnapshotRecord& body) {
                   put_header(out, body.header);
                   out.text(body.state);
                   out.text(body.effects);
                   out.text(body.trace);
                   out.number(body.last_message);
                 },
                 [&](const NoteRecord& body) {
                   out.text(body.text);
                   out.whole(body.wall_ns);
                   out.number(body.message);
                 },
                 [&](const EventRecord& body) { put_event(out, body); },
             },
             record.body);
}

// ---- reading ----

RunHeader take_header(WireReader& in) {
  RunHeader header;
  header.run_id = in.text();
  header.program = in.text();
  const std::size_t files = in.count();
  if (files > kMostFiles) in.spoil();
  for (std::size_t i = 0; i < files && !in.bad(); ++i) {
    std::string name(in.text());
    header.files.emplace_back(std::move(name), std::string(in.text()));
  }
  header.physical = in.value();
  header.settings = in.value();
  header.wall_ns = in.whole();
  header.forked_from = in.text();
  header.fork_step = in.text();
  return header;
}

CallEnded take_call_ended(WireReader& in) {
  CallEnded ended;
  ended.call = in.call();
  const std::uint8_t outcome = in.byte();
  switch (static_cast<Outcome>(outcome)) {
    case Outcome::kReturned:
    case Outcome::kCached:
    case Outcome::kEqual:
    case Outcome::kEarlierRun:
    case Outcome::kHedged:
      ended.outcome = returned_as(static_cast<Outcome>(outcome), in.value());
      break;
    case Outcome::kFailed:
    case Outcome::kDoubt:
      ended.outcome = CallFailed{in.error(), static_cast<Outcome>(outcome) == Outcome::kDoubt};
      break;
    case Outcome::kToolsWanted: {
      ToolsWanted wanted;
      wanted.message = in.value();
      wanted.calls = in.value();
      ended.outcome = std::move(wanted);
      break;
    }
    default:
      in.spoil();
  }
  ended.usage = in.usage();
  return ended;
}

WaitBegan take_wait(WireReader& in) {
  WaitBegan wait;
  wait.call = in.call();
  wait.signal = in.text();
  wait.until_wall_ns = in.whole();
  wait.has_value = in.flag();
  if (wait.has_value) wait.value = in.value();
  wait.of = in.text();
  wait.ask = in.text();
  if (in.flag()) wait.error = in.error();
  return wait;
}

RunStarted take_run_started(WireReader& in) {
  RunStarted started;
  started.run_id = in.text();
  started.params = in.value();
  started.seed = in.fixed64();
  return started;
}

SignalReceived take_signal(WireReader& in) {
  SignalReceived signal;
  signal.message = in.number();
  signal.name = in.text();
  signal.task = in.text();
  signal.value = in.value();
  return signal;
}

EventRecord take_event(WireReader& in, RecordType type) {
  EventRecord record;
  const std::uint8_t flags = in.byte();
  if (flags > (kHasRounds | kHasDigest | kHasMessage)) in.spoil();
  if ((flags & kHasRounds) != 0) record.rounds = in.number32();
  if ((flags & kHasDigest) != 0) record.digest = in.fixed32();
  if ((flags & kHasMessage) != 0) record.message = in.number();
  auto& body = record.event.body;
  switch (type) {
    case RecordType::kRunStarted:
      body = take_run_started(in);
      break;
    case RecordType::kCallEnded:
      body = take_call_ended(in);
      break;
    case RecordType::kCallResumed:
      body = CallResumed{in.call()};
      break;
    case RecordType::kItemEmitted: {
      CallRef call = in.call();
      body = ItemEmitted{call, in.value()};
      break;
    }
    case RecordType::kPlanAdmitted:
      body = PlanAdmitted{in.task(), nullptr};
      record.admitted = in.value();
      break;
    case RecordType::kPlanRefused: {
      TaskRef task = in.task();
      body = PlanRefused{task, in.error()};
      break;
    }
    case RecordType::kTimerFired:
      body = TimerFired{in.fixed64()};
      break;
    case RecordType::kWaitBegan:
      body = take_wait(in);
      break;
    case RecordType::kSignalReceived:
      body = take_signal(in);
      break;
    case RecordType::kCancelRequested: {
      const std::uint64_t message = in.number();
      body = CancelRequested{message, std::string(in.text())};
      break;
    }
    case RecordType::kStepReplanned: {
      StepReplanned replanned;
      replanned.step = in.number32();
      replanned.from_item = in.number32();
      replanned.why = in.text();
      body = std::move(replanned);
      record.admitted = in.value();
      break;
    }
    default:
      in.spoil();
  }
  return record;
}

RunEndedRecord take_ended(WireReader& in) {
  RunEndedRecord ended;
  const std::uint8_t status = in.byte();
  if (status > static_cast<std::uint8_t>(RunStatus::kBudgetSpent)) {
    in.spoil();
    return ended;
  }
  ended.status = static_cast<RunStatus>(status);
  const std::size_t errors = in.count();
  for (std::size_t i = 0; i < errors && !in.bad(); ++i) ended.errors.emplace_back(in.text());
  ended.result = in.value();
  return ended;
}

SnapshotRecord take_snapshot(WireReader& in) {
  SnapshotRecord snapshot;
  snapshot.header = take_header(in);
  snapshot.state = in.text();
  snapshot.effects = in.text();
  snapshot.trace = in.text();
  snapshot.last_message = in.number();
  return snapshot;
}

void take_body(WireReader& in, RecordType type, Record& record) {
  switch (type) {
    case RecordType::kHeader:
      record.body = take_header(in);
      break;
    case RecordType::kResumed: {
      RunResumedRecord resumed;
      resumed.program = in.text();
      resumed.owner = in.text();
      resumed.wall_ns = in.whole();
      record.body = std::move(resumed);
      break;
    }
    case RecordType::kIntent: {
      IntentRecord intent;
      intent.call = in.call();
      intent.withdrawn = in.flag();
      record.body = intent;
      break;
    }
    case RecordType::kEnded:
      record.body = take_ended(in);
      break;
    case RecordType::kSnapshot:
      record.body = take_snapshot(in);
      break;
    case RecordType::kNote: {
      NoteRecord note;
      note.text = in.text();
      note.wall_ns = in.whole();
      note.message = in.number();
      record.body = std::move(note);
      break;
    }
    default: {
      EventRecord event = take_event(in, type);
      event.event.at = record.at;
      record.body = std::move(event);
    }
  }
}

}  // namespace

std::string_view record_type_name(RecordType type) {
  const TypeRow* row = find_type(static_cast<std::uint16_t>(type));
  return row == nullptr ? "unknown" : row->name;
}

RecordType record_type(const Record& record) {
  static constexpr std::array kEvents = {
      RecordType::kRunStarted,      RecordType::kCallEnded,     RecordType::kCallResumed,
      RecordType::kItemEmitted,     RecordType::kPlanAdmitted,  RecordType::kPlanRefused,
      RecordType::kTimerFired,      RecordType::kWaitBegan,     RecordType::kSignalReceived,
      RecordType::kCancelRequested, RecordType::kStepReplanned,
  };
  static_assert(kEvents.size() == std::variant_size_v<decltype(Event::body)>);
  static constexpr std::array kOthers = {RecordType::kHeader,   RecordType::kResumed,
                                         RecordType::kIntent,   RecordType::kEnded,
                                         RecordType::kSnapshot, RecordType::kNote};
  static_assert(kOthers.size() + 1 == std::variant_size_v<decltype(Record::body)>);
  if (const auto* event = std::get_if<EventRecord>(&record.body)) {
    return kEvents[event->event.body.index()];
  }
  return kOthers[record.body.index()];
}

std::uint64_t record_message(const Record& record) {
  if (const auto* note = std::get_if<NoteRecord>(&record.body)) return note->message;
  if (const auto* snapshot = std::get_if<SnapshotRecord>(&record.body)) {
    return snapshot->last_message;
  }
  const auto* event = std::get_if<EventRecord>(&record.body);
  if (event == nullptr) return 0;
  if (const auto* signal = std::get_if<SignalReceived>(&event->event.body)) return signal->message;
  if (const auto* cancel = std::get_if<CancelRequested>(&event->event.body)) return cancel->message;
  return event->message;
}

JournalRecord encode_record(const Record& record) {
  WireWriter out;
  const RecordType type = record_type(record);
  const auto* event = std::get_if<EventRecord>(&record.body);
  out.whole(event != nullptr ? event->event.at : record.at);
  put_body(out, record);
  return {static_cast<std::uint16_t>(type),
          version_of(record, *find_type(static_cast<std::uint16_t>(type))), out.take()};
}

Result<Record> decode_record(const JournalRecord& record) {
  const TypeRow* row = find_type(record.type);
  if (row == nullptr || record.version > row->version) {
    return fail(ErrorCode::kJournal,
                fmt::format("a record of type {} version {} is from a newer program; use that one",
                            record.type, record.version));
  }
  WireReader in(record.body);
  Record decoded;
  decoded.at = in.whole();
  if (decoded.at < 0 || record.version == 0) in.spoil();
  take_body(in, row->type, decoded);
  if (!in.good_end()) {
    return fail(ErrorCode::kJournalDamaged,
                fmt::format("a record of type {} is damaged", row->name));
  }
  return decoded;
}

}  // namespace sluice
