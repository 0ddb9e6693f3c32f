// What can be done with a journal: replay, records of a program that decided in another order,
// forks.

#include "runtime/recovery.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/failpoint.h"
#include "data/json.h"
#include "plan/lower.h"
#include "runtime/replay.h"
#include "tests/runtime/scripted_host.h"

namespace sluice::testing {
namespace {

const std::string kPlan =
    "sluice: 1\n"
    "params: {n: {type: integer, default: 1}}\n"
    "tools:\n"
    "  look: {kind: process, command: [look], effect: read}\n"
    "  put: {kind: process, command: [put], effect: idempotent}\n"
    "steps:\n"
    "  a: {tool: look, with: {args: [\"{{ params.n }}\"]}, retry: {attempts: 3, delay: 1s}}\n"
    "  b: {tool: put, with: {args: [\"{{ steps.a.output }}\"]}}\n"
    "  c: {tool: put, with: {args: [\"{{ steps.b.output }}\"]}}\n"
    "  d: {for_each: \"{{ [1, 2, 3] }}\", tool: look, with: {args: [\"{{ item }}\"]}}\n"
    "result: \"{{ [steps.c.output, steps.d.output] }}\"\n";

ScriptedHost::Answer echo(const StartCall& start) {
  if (start.task_id == "a" && start.call.attempt == 1) return failed(ErrorCode::kToolFailed);
  return returned(Value::string(start.task_id + " " + to_json(*start.args.find("args"))));
}

AdoptPlan no_plans() {
  return [](const AdmitPlan&, const Value&) -> Result<PhysicalPlanPtr> {
    return fail(ErrorCode::kInternal, "no plan is produced");
  };
}

std::unique_ptr<RunRig> finished_run(Value params = Value::object({{"n", Value::integer(1)}})) {
  auto rig = std::make_unique<RunRig>(plan_of(kPlan));
  rig->host.answer = echo;
  rig->start(std::move(params));
  rig->run();
  EXPECT_TRUE(rig->outcome && rig->outcome->status == RunStatus::kSucceeded);
  return rig;
}

TEST(Replay, TheSameProgramDecidesTheSame) {
  auto rig = finished_run();
  auto report =
      replay_run(*rig->journal, RunRig::kRun, rig->plan, rig->values, nullptr, no_plans());
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_TRUE(report->ended);
  EXPECT_EQ(report->events, 9u);
  EXPECT_FALSE(report->difference) << report->difference->was << " / " << report->difference->now;
}

TEST(Replay, AnotherPlanIsToldByTheFirstOtherDecision) {
  auto rig = finished_run();
  std::string other = kPlan;
  other.replace(other.find("steps.b.output"), 14, "steps.a.output");
  auto report =
      replay_run(*rig->journal, RunRig::kRun, plan_of(other), rig->values, nullptr, no_plans());
  ASSERT_TRUE(report) << report.error().to_string();
  ASSERT_TRUE(report->difference);
  EXPECT_GT(report->difference->seq, 1u);
  EXPECT_NE(report->difference->now.find("c"), std::string::npos) << report->difference->now;
}

TEST(Replay, AMistakeInTheStateMachineIsFound) {
  auto rig = finished_run();
  FailpointScope mistake(Failpoint::kKeyOfAttempt);
  auto report =
      replay_run(*rig->journal, RunRig::kRun, rig->plan, rig->values, nullptr, no_plans());
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->difference);
}

TEST(Replay, DamagedOrderIsAnErrorNotACrash) {
  auto rig = finished_run();
  const auto records = rig->records();
  Recovery recovery(rig->plan, rig->values, nullptr, no_plans(), false);
  auto taken = recovery.take(1, records[1]);  // no RunStarted before it
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code(), ErrorCode::kJournalDamaged);
}

// An older program may have learnt the end of c before that of a: what it knows is kept until
// asked.
TEST(Recovery, FactsThatComeEarlyAreGivenWhenTheirCallStarts) {
  auto rig = finished_run();
  std::vector<JournalRecord> records = rig->records();
  records.pop_back();  // the end
  std::vector<JournalRecord> events(records.begin() + 1, records.end());
  for (int turn = 0; turn < 20; ++turn) {
    std::next_permutation(events.begin(), events.end(),
                          [](const auto& a, const auto& b) { return a.body < b.body; });
    auto other = std::make_unique<RunRig>(plan_of(kPlan));
    other->host.answer = echo;
    std::vector<JournalRecord> mixed{records.front()};
    mixed.insert(mixed.end(), events.begin(), events.end());
    other->create(std::move(mixed));
    auto report = other->resume();
    ASSERT_TRUE(report) << report.error().to_string();
    other->run();
    ASSERT_TRUE(other->outcome);
    EXPECT_EQ(other->outcome->status, RunStatus::kSucceeded);
    EXPECT_EQ(to_json(other->outcome->result), to_json(rig->outcome->result));
    EXPECT_TRUE(other->host.performed.empty()) << other->host.performed.front();
  }
}

// The program that goes on is still evaluating when the journal ends: what is known counts.
TEST(Recovery, FactsThatComeEarlyCountWhileTheLastEventIsWorkedOut) {
  const std::string text =
      "sluice: 1\n"
      "tools:\n"
      "  look: {kind: process, command: [look], effect: read}\n"
      "  put: {kind: process, command: [put], effect: idempotent}\n"
      "steps:\n"
      "  a: {tool: look, with: {args: [\"1\"]}}\n"
      "  c: {after: [a], tool: put, with: {args: [\"2\"]}}\n"
      "  d: {after: [a], tool: put, with: {args: [\"3\"]}}\n"
      "  busy: {after: [a], value: 1, repeat: {until: \"{{ round >= 5000 }}\", max: 6000}}\n";
  auto script = [](const StartCall& start) { return returned(Value::string(start.task_id)); };
  RunRig rig(plan_of(text));
  rig.host.answer = script;
  rig.start();
  rig.run();
  ASSERT_TRUE(rig.outcome);
  const std::vector<JournalRecord> was = rig.records();
  ASSERT_EQ(was.size(), 5u);
  RunRig other(plan_of(text));
  other.host.answer = script;
  other.create({was[0], was[2], was[3], was[1]});
  auto report = other.resume();
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->repeated_count, 0u);
  other.run();
  ASSERT_TRUE(other.outcome);
  EXPECT_EQ(other.outcome->status, RunStatus::kSucceeded);
  EXPECT_TRUE(other.host.performed.empty()) << other.host.performed.front();
}

// The older program came to doubt about a call that this one makes only after a step whose end
// nobody knows: when its turn comes, its tool is asked as it would have been at once.
TEST(Recovery, ADoubtThatComesEarlyIsProbed) {
  const std::string text =
      "sluice: 1\n"
      "tools:\n"
      "  look: {kind: process, command: [look], effect: read}\n"
      "  pay: {kind: process, command: [pay], effect: once}\n"
      "steps:\n"
      "  a: {tool: look, with: {}}\n"
      "  c: {after: [a], tool: pay, with: {}}\n"
      "result: \"{{ steps.c.output }}\"\n";
  auto script = [](const StartCall& start) {
    return start.task_id == "c" ? failed(ErrorCode::kTimeout, true) : returned(Value());
  };
  RunRig rig(plan_of(text));
  rig.host.answer = script;
  rig.start();
  rig.run();
  const std::vector<JournalRecord> was = rig.records();
  ASSERT_EQ(rig.record_names(),
            (std::vector<std::string>{"run_started", "call_ended", "intent", "call_ended"}));
  for (const CallProbed::State state :
       {CallProbed::State::kDone, CallProbed::State::kAbsent, CallProbed::State::kUnknown}) {
    SCOPED_TRACE(static_cast<int>(state));
    RunRig other(plan_of(text));
    other.host.answer = [](const StartCall& start) {
      return returned(Value::string(start.task_id));
    };
    int asked = 0;
    other.host.probe_answer = [&](const StartCall& start) {
      EXPECT_EQ(start.task_id, "c");
      ++asked;
      return CallProbed{{}, state, Value::string("probed"), {}};
    };
    other.create({was[0], was[2], was[3]});
    auto report = other.resume();
    ASSERT_TRUE(report) << report.error().to_string();
    other.run();
    ASSERT_TRUE(other.outcome);
    EXPECT_GT(asked, 0);
    const bool unknown = state == CallProbed::State::kUnknown;
    const bool absent = state == CallProbed::State::kAbsent;
    EXPECT_EQ(other.outcome->status, unknown ? RunStatus::kInDoubt : RunStatus::kSucceeded);
    EXPECT_EQ(to_json(other.outcome->result), unknown ? "null" : absent ? "\"c\"" : "\"probed\"");
    EXPECT_EQ(other.host.performed.size(), absent ? 2u : 1u);
  }
}

TEST(Fork, TakesOverWhatDoesNotDependOnTheStep) {
  auto rig = finished_run();
  auto reuse =
      build_reuse_table(*rig->journal, RunRig::kRun, rig->plan, rig->values, no_plans(), "b");
  ASSERT_TRUE(reuse) << reuse.error().to_string();
  EXPECT_EQ(reuse->reusable, 4u);
  EXPECT_EQ(reuse->from, (std::set<std::string>{"b", "c"}));
  RunRig fork(rig->plan);
  fork.host.answer = echo;
  fork.reuse = reuse->table;
  fork.start(Value::object({{"n", Value::integer(1)}}));
  fork.run();
  ASSERT_TRUE(fork.outcome);
  EXPECT_EQ(fork.host.performed, (std::vector<std::string>{"b", "c"}));
  for (const auto& [key, times] : fork.host.times) {
    EXPECT_TRUE(rig->host.times.contains(key)) << "the same inputs, another key";
  }
  EXPECT_EQ(to_json(fork.outcome->result), to_json(rig->outcome->result));
}

// What a fork makes again goes out under the old run's key, and so does what undoes it, also after
// a crash at any record.
TEST(Fork, AnUndoNamesTheKeyThatWasSent) {
  const std::string text =
      "sluice: 1\n"
      "undo: true\n"
      "tools:\n"
      "  pay: {kind: process, command: [pay], effect: once, undo: {tool: back}}\n"
      "  back: {kind: process, command: [back], effect: idempotent}\n"
      "  bad: {kind: process, command: [bad], effect: read}\n"
      "steps:\n"
      "  a: {tool: pay, with: {args: [\"1\"]}}\n"
      "  c: {after: [a], tool: bad, with: {}}\n";
  Value args;
  auto script = [&](const StartCall& start) {
    if (start.task_id == "c") return failed(ErrorCode::kCodeFailed);
    if (!start.undo) args = start.args;
    return returned(Value());
  };
  RunRig old(plan_of(text));
  old.host.answer = script;
  old.start();
  old.run();
  auto table = std::make_shared<ReuseTable>();
  table->add("a", {result_key(old.plan->steps[0], args), "old key", std::nullopt, {}});
  RunRig whole(old.plan);
  whole.host.answer = script;
  whole.reuse = table;
  whole.start();
  whole.run();
  EXPECT_EQ(whole.host.times.count("old key"), 1u);
  EXPECT_EQ(whole.host.times.count("old key/undo"), 1u);
  for (std::size_t cut = 1; cut < whole.records().size(); ++cut) {
    SCOPED_TRACE(cut);
    auto rig = whole.cut_at(cut);
    rig->reuse = table;
    std::set<std::string> keys;
    rig->host.probe_answer = [&](const StartCall& start) {
      keys.insert(start.idempotency_key);
      return CallProbed{{}, CallProbed::State::kAbsent, {}, {}};
    };
    ASSERT_TRUE(rig->resume());
    rig->run();
    ASSERT_TRUE(rig->outcome);
    for (const auto& [key, times] : rig->host.times) keys.insert(key);
    for (const std::string& key : keys) {
      EXPECT_TRUE(whole.host.times.contains(key)) << key;
    }
  }
}

TEST(Fork, OtherInputsAreNotTakenForTheSame) {
  auto rig = finished_run();
  auto reuse =
      build_reuse_table(*rig->journal, RunRig::kRun, rig->plan, rig->values, no_plans(), "");
  ASSERT_TRUE(reuse);
  RunRig fork(rig->plan);
  fork.host.answer = echo;
  fork.reuse = reuse->table;
  fork.start(Value::object({{"n", Value::integer(2)}}));
  fork.run();
  ASSERT_TRUE(fork.outcome);
  EXPECT_EQ(fork.host.performed, (std::vector<std::string>{"a", "a", "b", "c"}));
  EXPECT_NE(to_json(fork.outcome->result), to_json(rig->outcome->result));
}

TEST(Fork, NamesAStepThatThePlanLacks) {
  auto rig = finished_run();
  auto reuse =
      build_reuse_table(*rig->journal, RunRig::kRun, rig->plan, rig->values, no_plans(), "e");
  ASSERT_FALSE(reuse);
  EXPECT_EQ(reuse.error().code(), ErrorCode::kStepUnknown);
}

}  // namespace
}  // namespace sluice::testing
