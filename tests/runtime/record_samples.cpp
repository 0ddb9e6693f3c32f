#include "tests/runtime/record_samples.h"

namespace sluice::testing {
namespace {

const TaskRef kTask{0x0123'4567'89ab'cdef, 3, 41};
const CallRef kCall{kTask, 2, 3, 4, 5};

Value sample_value() {
  return Value::object({{"text", Value::string("gr\xc3\xbc\xc3\x9f dich")},
                        {"list", Value::array({Value::integer(-7), Value::number(0.5),
                                               Value::boolean(true), Value()})},
                        {"big", Value::big_integer("123456789012345678901234567890")},
                        {"secret", Value::string("hunter2").with_labels({.secret = true})},
                        {"file", Value::blob_reference(sha256("bytes"), "image/png", 12345)}});
}

Error sample_error() {
  return Error(ErrorCode::kTimeout, "it took longer than 5s", {0, 12, 7})
      .with_retry_after_ms(1500)
      .with_cause(Error(ErrorCode::kIo, "connection reset"));
}

RunHeader sample_header() {
  RunHeader header;
  header.run_id = "01jrun";
  header.program = "0.4.0";
  header.files = {{"plan.yaml", "sluice: 1\nsteps: {}\n"}, {"sub.yaml", "sluice: 1\n"}};
  header.physical = Value::object({{"version", Value::integer(1)}});
  header.settings = Value::object({{"work", Value::string("out")}});
  header.wall_ns = 1'770'000'000'123'456'789;
  header.forked_from = "01jold";
  header.fork_step = "ask";
  return header;
}

EventRecord event(decltype(Event::body) body) {
  EventRecord record;
  record.event.at = 123'456'789;
  record.event.body = std::move(body);
  record.rounds = 2000;
  record.digest = 0xdeadbeef;
  return record;
}

std::vector<RecordSample> event_samples() {
  std::vector<RecordSample> all;
  auto add = [&](std::string name, EventRecord record) {
    all.push_back({std::move(name), {record.event.at, std::move(record)}});
  };
  add("run_started", event(RunStarted{"01jrun", sample_value(), 0xfeed'face'cafe'beef}));
  const Usage usage{100, 40, 20, 0.25};
  add("call_returned", event(CallEnded{kCall, CallReturned{sample_value(), false}, usage}));
  add("call_cached", event(CallEnded{kCall, CallReturned{Value::integer(1), true}, {}}));
  using From = CallReturned::From;
  add("call_equal",
      event(CallEnded{kCall, CallReturned{Value::integer(1), true, From::kEqual}, {}}));
  add("call_of_earlier_run",
      event(CallEnded{kCall, CallReturned{Value::integer(1), true, From::kEarlierRun}, {}}));
  add("call_hedged",
      event(CallEnded{kCall, CallReturned{Value::integer(1), false, From::kHedged}, usage}));
  add("call_failed", event(CallEnded{kCall, CallFailed{sample_error(), false}, usage}));
  add("call_doubt", event(CallEnded{kCall, CallFailed{sample_error(), true}, {}}));
  add("call_wants_tools",
      event(CallEnded{kCall, ToolsWanted{sample_value(), Value::array({sample_value()})}, usage}));
  EventRecord resumed = event(CallResumed{kCall});
  resumed.message = 17;
  add("call_resumed", std::move(resumed));
  add("item_emitted", event(ItemEmitted{kCall, sample_value()}));
  EventRecord admitted = event(PlanAdmitted{kTask, nullptr});
  admitted.admitted = Value::object({{"steps", Value::array({})}});
  add("plan_admitted", std::move(admitted));
  add("plan_refused", event(PlanRefused{kTask, sample_error()}));
  add("timer_fired", event(TimerFired{0x8877'6655'4433'2211}));
  WaitBegan wait;
  wait.call = kCall;
  wait.signal = "approve";
  wait.until_wall_ns = 1'771'000'000'000'000'000;
  wait.has_value = true;
  wait.value = Value::boolean(false);
  wait.of = "the treasurer";
  wait.ask = "pay 7 euros?";
  add("wait_began", event(wait));
  WaitBegan misunderstood;
  misunderstood.call = kCall;
  misunderstood.error = sample_error();
  add("wait_misunderstood", event(misunderstood));
  add("signal_received", event(SignalReceived{18, "approve", "ask[3]", sample_value()}));
  add("cancel_requested", event(CancelRequested{19, "enough"}));
  EventRecord replanned = event(StepReplanned{2, 33, nullptr, "it holds for 5%"});
  replanned.admitted = Value::object({{"steps", Value::array({})}});
  add("step_replanned", std::move(replanned));
  return all;
}

}  // namespace

std::vector<RecordSample> record_samples() {
  std::vector<RecordSample> all = event_samples();
  all.push_back({"header", {0, sample_header()}});
  all.push_back({"resumed", {5, RunResumedRecord{"0.5.0", "pid 412 on host", 77}}});
  all.push_back({"intent", {6, IntentRecord{kCall}}});
  all.push_back({"intent_withdrawn", {6, IntentRecord{kCall, true}}});
  all.push_back(
      {"ended", {7, RunEndedRecord{RunStatus::kBudgetSpent, {"one", "two"}, sample_value()}}});
  all.push_back(
      {"snapshot", {8, SnapshotRecord{sample_header(), "state", "effects", "trace", 20}}});
  all.push_back({"note", {9, NoteRecord{"a word", 88, 21}}});
  return all;
}

}  // namespace sluice::testing
