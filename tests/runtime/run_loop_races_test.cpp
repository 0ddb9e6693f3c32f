// What happens at the same moment as something else: an end that comes while everything is being
// cut, a timer while the run is being closed, answers to questions that were asked before.

#include <gtest/gtest.h>

#include "data/json.h"
#include "runtime/inbox.h"
#include "runtime/record.h"
#include "tests/runtime/scripted_host.h"

namespace sluice::testing {
namespace {

const std::string kTools =
    "sluice: 1\n"
    "tools:\n"
    "  look: {kind: process, command: [look], effect: read}\n"
    "  pay: {kind: process, command: [pay], effect: once}\n";

ScriptedHost::Answer echo(const StartCall& start) { return returned(Value::string(start.task_id)); }

void tell(RunRig& rig, std::uint64_t id, const RunMessage& message) {
  auto [kind, body] = encode_message(message);
  rig.loop->take({id, kind, body, 0});
}

TEST(RunLoopRaces, AFailureThatComesWhileAllIsCutIsAFact) {
  RunRig rig(plan_of(kTools + "steps:\n  paid: {tool: pay, with: {}}\n"));
  rig.host.answer = [](const StartCall&) { return ScriptedHost::Answer(); };
  rig.host.cut_is_doubt = false;
  rig.start();
  rig.run();
  ASSERT_EQ(rig.host.running.size(), 1u);
  const CallRef paid = *rig.host.running.begin();
  rig.loop->interrupt();
  rig.loop->interrupt();
  rig.loop->deliver({rig.host.now(), CallEnded{paid, *failed(ErrorCode::kToolFailed), {}}});
  rig.run();
  ASSERT_TRUE(rig.outcome);
  EXPECT_EQ(rig.outcome->status, RunStatus::kFailed) << "the payment was refused";
  EXPECT_EQ(rig.record_names().back(), "ended");
}

// A run in which a payment is in doubt, and whose end in doubt is not durable yet.
std::unique_ptr<RunRig> closing_in_doubt(const std::string& text, const std::string& doubtful) {
  auto rig = std::make_unique<RunRig>(plan_of(text));
  rig->host.answer = [doubtful](const StartCall& start) {
    return start.task_id == doubtful ? failed(ErrorCode::kTimeout, true) : echo(start);
  };
  rig->start();
  while (rig->host.performed.empty() && rig->host.step()) {
  }
  rig->commits = false;
  rig->run();
  return rig;
}

void commit_and_run(RunRig& rig) {
  rig.commits = true;
  rig.journal->commit_once();
  rig.run();
}

TEST(RunLoopRaces, NothingStartsWhileARunIsClosedInDoubt) {
  auto rig =
      closing_in_doubt(kTools +
                           "plans:\n"
                           "  sub: {sluice: 1, steps: {paid: {tool: pay, with: {}}}}\n"
                           "steps:\n"
                           "  inner: {plan: sub, with: {}, timeout: 10s, on_error: {value: 1}}\n"
                           "  next: {tool: pay, with: {args: [\"{{ steps.inner.output }}\"]}}\n",
                       "inner/paid");
  ASSERT_FALSE(rig->outcome);
  commit_and_run(*rig);
  ASSERT_TRUE(rig->outcome);
  EXPECT_EQ(rig->outcome->status, RunStatus::kInDoubt);
  EXPECT_EQ(rig->host.performed, std::vector<std::string>{"inner/paid"}) << "the run was over";
  rig->kill();
  ASSERT_TRUE(rig->resume());
  tell(*rig, 1, ResolveMessage{"inner/paid", ResolveMessage::Verdict::kDone, Value(), ""});
  rig->run();
  ASSERT_TRUE(rig->outcome);
  EXPECT_EQ(rig->outcome->status, RunStatus::kSucceeded);
  EXPECT_EQ(rig->host.performed, (std::vector<std::string>{"inner/paid", "next"}));
}

TEST(RunLoopRaces, ACancelIsHeardWhileARunIsClosedInDoubt) {
  auto rig = closing_in_doubt(kTools + "steps:\n  paid: {tool: pay, with: {}}\n", "paid");
  ASSERT_FALSE(rig->outcome);
  rig->loop->cancel("enough");
  commit_and_run(*rig);
  ASSERT_TRUE(rig->outcome);
  EXPECT_EQ(rig->outcome->status, RunStatus::kCancelled);
  EXPECT_EQ(rig->record_names().back(), "ended");
  EXPECT_EQ(rig->status(), "cancelled");
}

TEST(RunLoopRaces, AnAnswerAboutACallThatWasMadeAgainSinceIsDropped) {
  RunRig rig(plan_of(kTools + "steps:\n  paid: {tool: pay, with: {}}\n"
                              "result: \"{{ steps.paid.output }}\"\n"));
  rig.host.answer = [](const StartCall&) { return failed(ErrorCode::kTimeout, true); };
  rig.start();
  rig.run();
  ASSERT_TRUE(rig.outcome);
  rig.kill();
  std::string seen = "before it was made again";
  rig.host.probe_answer = [&](const StartCall&) {
    CallProbed probed;
    probed.state = CallProbed::State::kDone;
    probed.output = Value::string(seen);
    return probed;
  };
  rig.host.call_takes_ns = 100 * kNsPerSecond;
  ASSERT_TRUE(rig.resume());
  rig.host.call_takes_ns = kNsPerMs;
  tell(rig, 1, ResolveMessage{"paid", ResolveMessage::Verdict::kRetry, Value(), ""});
  seen = "afterwards";
  while (rig.host.performed.size() < 2 && rig.host.step()) {
  }
  rig.host.call_takes_ns = 200 * kNsPerSecond;
  rig.run();
  ASSERT_TRUE(rig.outcome);
  EXPECT_EQ(rig.host.performed.size(), 2u);
  EXPECT_EQ(to_json(rig.outcome->result), "\"afterwards\"");
}

// The first attempt's time is over before its plan is there. Its answer serves the second attempt,
// and the second's own answer nobody.
TEST(RunLoopRaces, APlanThatIsAnsweredTwiceHoldsNothingUp) {
  RunRig rig(
      plan_of("sluice: 1\n"
              "params: {p: {type: object}}\n"
              "steps:\n"
              "  ran:\n"
              "    plan: \"{{ params.p }}\"\n"
              "    with: {}\n"
              "    limits: {operators: [wait], steps: 9, tasks: 9}\n"
              "    timeout: 10s\n"
              "    retry: {attempts: 2, on: [TIMEOUT], delay: 1s, jitter: 0}\n"));
  int asked = 0;
  rig.host.admit_takes_ns = [&] { return (asked++ == 0 ? 13 : 4) * kNsPerSecond; };
  rig.start(Value::object(
      {{"p", *parse_json(R"({"sluice": 1, "steps": {"hold": {"wait": {"signal": "go"}}}})")}}));
  while (rig.host.now() < 15 * kNsPerSecond && rig.host.step()) {
  }
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(rig.loop->state().waits().size(), 1u);
  tell(rig, 1, CancelMessage{"enough"});
  rig.run();
  ASSERT_TRUE(rig.outcome);
  EXPECT_EQ(rig.outcome->status, RunStatus::kCancelled);
}

// Two people say the same while a loop of values keeps the run busy.
TEST(RunLoopRaces, AMessageThatComesTooLateIsTakenAllTheSame) {
  RunRig rig(plan_of(kTools +
                     "steps:\n"
                     "  paid: {tool: pay, with: {}}\n"
                     "  seen: {tool: look, with: {}}\n"
                     "  busy: {after: [seen], value: 1, repeat: {until: \"{{ round >= 5000 }}\", "
                     "max: 6000}}\n"
                     "  last: {after: [busy], wait: {signal: go}}\n"));
  rig.host.answer = [](const StartCall& start) {
    return start.task_id == "paid" ? failed(ErrorCode::kTimeout, true) : ScriptedHost::Answer();
  };
  rig.start();
  rig.run();
  ASSERT_EQ(rig.loop->state().doubts().size(), 1u);
  const CallRef seen = *rig.host.running.rbegin();
  rig.loop->deliver({rig.host.now(), CallEnded{seen, *returned(Value()), {}}});
  for (std::uint64_t id : {1u, 2u}) {
    tell(rig, id, ResolveMessage{"paid", ResolveMessage::Verdict::kDone, Value(), ""});
  }
  rig.run();
  EXPECT_TRUE(rig.loop->state().doubts().empty());
  std::uint64_t last = 0;
  for (const JournalRecord& record : rig.records()) {
    last = std::max(last, record_message(*decode_record(record)));
  }
  EXPECT_EQ(last, 2u) << "after a crash it would be taken again";
}

}  // namespace
}  // namespace sluice::testing
