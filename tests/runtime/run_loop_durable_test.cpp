// One run and its journal: what is written before what leaves, and every way to stop and go on.

#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "base/failpoint.h"
#include "data/json.h"
#include "runtime/inbox.h"
#include "runtime/record.h"
#include "runtime/replay.h"
#include "tests/runtime/scripted_host.h"

namespace sluice::testing {
namespace {

constexpr const char* kTools =
    "sluice: 1\n"
    "tools:\n"
    "  look: {kind: process, command: [look], effect: read}\n"
    "  put: {kind: process, command: [put], effect: idempotent}\n"
    "  pay: {kind: process, command: [pay], effect: once}\n"
    "  lines: {kind: process, command: [lines], stdout: lines, effect: read}\n";

std::string plan_text(const std::string& steps) { return kTools + ("steps:\n" + steps); }

const std::string kMixed = plan_text(
    "  rows: {value: [1, 2, 3]}\n"
    "  read: {for_each: \"{{ steps.rows.output }}\", tool: look, with: {args: [\"{{ item }}\"]}}\n"
    "  paid: {for_each: \"{{ steps.read.output }}\", tool: pay, with: {args: [\"{{ item }}\"]}}\n"
    "  kept: {for_each: \"{{ steps.paid.output }}\", tool: put, with: {args: [\"{{ item }}\"]}}\n"
    "result: \"{{ steps.kept.output }}\"\n");

ScriptedHost::Answer echo(const StartCall& start) {
  const Value* args = start.args.find("args");
  return returned(Value::object(
      {{"of", Value::string(start.task_id)}, {"args", args == nullptr ? Value() : *args}}));
}

Result<std::uint64_t> send(RunRig& rig, const RunMessage& message) {
  auto [kind, body] = encode_message(message);
  return rig.journal->send(RunRig::kRun, kind, body, 1);
}

void hear(RunRig& rig) {
  for (const InboxMessage& message : *rig.journal->inbox(RunRig::kRun, rig.loop->last_message())) {
    rig.loop->take(message);
  }
}

std::string outcome_text(const RunRig& rig) {
  if (!rig.outcome) return "no end";
  std::string text(run_status_name(rig.outcome->status));
  text += " " + to_json(rig.outcome->result);
  for (const Error& error : rig.outcome->errors) text += "; " + error.to_string();
  return text;
}

TEST(DurableRun, EndsAsItWouldWithoutAJournalAndSaysSo) {
  RunRig rig(plan_of(kMixed));
  rig.host.answer = echo;
  rig.start();
  rig.run();
  ASSERT_TRUE(rig.outcome);
  EXPECT_EQ(rig.outcome->status, RunStatus::kSucceeded) << outcome_text(rig);
  EXPECT_EQ(rig.record_names().back(), "ended");
  EXPECT_EQ(rig.status(), "succeeded");
  EXPECT_EQ(rig.journal->find_run(RunRig::kRun)->state, JournaledRunState::kEnded);
  EXPECT_EQ(rig.journal->find_run(RunRig::kRun)->card.tasks_done, 10u);
  for (const auto& [key, times] : rig.host.times) EXPECT_EQ(times, 1) << key;
}

TEST(DurableRun, NothingThatMattersLeavesBeforeWhatItDependsOnIsDurable) {
  RunRig rig(plan_of(kMixed));
  rig.host.answer = echo;
  rig.commits = false;
  rig.start();
  rig.run();
  // Reads go on; nothing else does.
  EXPECT_EQ(rig.host.performed, (std::vector<std::string>{"read[0]", "read[1]", "read[2]"}));
  rig.journal->commit_once();
  rig.run();
  EXPECT_EQ(rig.host.performed.size(), 6u);
  EXPECT_TRUE(rig.host.performed.back().starts_with("paid")) << rig.host.performed.back();
}

// Whatever the history was: the same program decides the same again.
void expect_replays(RunRig& rig) {
  auto adopt = [&](const AdmitPlan& admit, const Value& recorded) {
    return rig.host.adopt(admit, recorded);
  };
  auto report = replay_run(*rig.journal, RunRig::kRun, rig.plan, rig.values, nullptr, adopt);
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_FALSE(report->difference) << "before record " << report->difference->seq << ": "
                                   << report->difference->was << " / " << report->difference->now;
}

using Script = std::function<void(ScriptedHost&)>;

// Whoever takes the run up behind one of its records (each, or each so manieth) comes to its end.
void expect_same_end_behind(RunRig& whole, const Script& script, std::size_t step = 1,
                            const std::function<void(const RunRig&)>& also = {}) {
  for (std::size_t cut = 1; cut < whole.records().size(); cut += step) {
    SCOPED_TRACE(cut);
    auto rig = whole.cut_at(cut);
    script(rig->host);
    ASSERT_TRUE(rig->resume());
    rig->run();
    ASSERT_TRUE(rig->outcome);
    EXPECT_EQ(outcome_text(*rig), outcome_text(whole));
    expect_replays(*rig);
    if (also) also(*rig);
  }
}

// The process dies behind each record in turn; whoever takes the run up ends as if nothing had
// been.
void die_everywhere(const std::string& text, const Script& script,
                    const std::set<std::string>& once_steps, bool may_doubt) {
  RunRig whole(plan_of(text));
  script(whole.host);
  whole.start();
  whole.run();
  ASSERT_TRUE(whole.outcome);
  const std::string expected = outcome_text(whole);
  const std::size_t count = whole.records().size();
  for (std::size_t cut = 1; cut < count; ++cut) {
    SCOPED_TRACE("cut behind record " + std::to_string(cut));
    auto rig = whole.cut_at(cut);
    script(rig->host);
    auto report = rig->resume();
    ASSERT_TRUE(report) << report.error().to_string();
    rig->run();
    ASSERT_TRUE(rig->outcome);
    if (may_doubt && rig->outcome->status == RunStatus::kInDoubt) {
      EXPECT_FALSE(report->asked.empty());
      continue;
    }
    EXPECT_EQ(outcome_text(*rig), expected);
    expect_replays(*rig);
    // A call whose end is in the journal is not made again, a `once` call whose intent is, neither.
    std::map<std::string, int> done;
    for (const std::string& task : rig->host.performed) ++done[task];
    for (const auto& [task, times] : done) EXPECT_EQ(times, 1) << task;
  }
  (void)once_steps;
}

TEST(DurableRun, ResumesBehindEveryRecord) {
  die_everywhere(kMixed, [](ScriptedHost& host) { host.answer = echo; }, {"paid"}, true);
}

TEST(DurableRun, ResumesBehindEveryRecordWithAProbe) {
  auto script = [](ScriptedHost& host) {
    host.answer = echo;
    host.probe_answer = [](const StartCall& start) {
      CallProbed probed;
      probed.state = CallProbed::State::kDone;
      probed.output = std::get<CallReturned>(*echo(start)).output;
      return probed;
    };
  };
  die_everywhere(kMixed, script, {"paid"}, false);
}

TEST(DurableRun, ResumesRetriesRepeatsAndSubPlansBehindEveryRecord) {
  const std::string text =
      std::string(kTools) +
      "plans:\n"
      "  sub:\n"
      "    sluice: 1\n"
      "    params: {n: {type: integer}}\n"
      "    steps:\n"
      "      one: {tool: look, with: {args: [\"{{ params.n }}\"]}}\n"
      "      two: {tool: put, with: {args: [\"{{ steps.one.output.of }}\"]}}\n"
      "    result: \"{{ steps.two.output.of }}\"\n"
      "steps:\n"
      "  turn: {tool: put, with: {args: [\"{{ round }}\"]}, repeat: {until: \"{{ round >= 3 }}\", "
      "max: 5, delay: 2s}}\n"
      "  shaky: {tool: look, with: {args: [\"{{ steps.turn.output.of }}\"]}, retry: {attempts: 4, "
      "delay: 1s}}\n"
      "  subs: {for_each: \"{{ [1, 2] }}\", plan: sub, with: {n: \"{{ item }}\"}}\n"
      "result: \"{{ [steps.shaky.output.of, steps.subs.output] }}\"\n";
  auto script = [](ScriptedHost& host) {
    host.answer = [](const StartCall& start) {
      if (start.task_id == "shaky" && start.call.attempt < 3) return failed(ErrorCode::kToolFailed);
      return echo(start);
    };
  };
  RunRig whole(plan_of(text));
  script(whole.host);
  whole.start();
  whole.run();
  ASSERT_TRUE(whole.outcome);
  ASSERT_EQ(whole.outcome->status, RunStatus::kSucceeded) << outcome_text(whole);
  expect_same_end_behind(whole, script);
}

TEST(DurableRun, TimersGoOnWithWhatIsLeftOfThem) {
  RunRig rig(plan_of(
      plan_text("  shaky: {tool: look, with: {}, retry: {attempts: 2, delay: 100s, max_delay: "
                "200s, jitter: 0}}\n"
                "  first: {tool: put, with: {}}\n"
                "  second: {after: [first], tool: put, with: {}}\n")));
  rig.host.answer = [](const StartCall& start) {
    return start.task_id == "shaky" && start.call.attempt == 1 ? failed(ErrorCode::kToolFailed)
                                                               : echo(start);
  };
  rig.host.call_takes_ns = 30 * kNsPerSecond;
  rig.start();
  while (rig.records().size() < 4 && rig.host.step()) {
  }
  rig.kill();  // 60 s into the run, 30 s after the attempt failed
  rig.host.wall_ns += 3600 * kNsPerSecond;
  const SteadyNs before = rig.host.now();
  auto report = rig.resume();
  ASSERT_TRUE(report) << report.error().to_string();
  rig.host.call_takes_ns = 0;
  rig.run();
  ASSERT_TRUE(rig.outcome);
  EXPECT_EQ(rig.outcome->status, RunStatus::kSucceeded);
  EXPECT_EQ(rig.host.now() - before, 70 * kNsPerSecond) << "life of the run, not of the world";
}

TEST(DurableRun, AnInterruptLeavesTheRunWhereItIs) {
  RunRig rig(plan_of(kMixed));
  rig.host.answer = echo;
  rig.start();
  for (int i = 0; i < 6; ++i) rig.host.step();
  rig.loop->interrupt();
  rig.run();
  ASSERT_TRUE(rig.outcome);
  EXPECT_EQ(rig.outcome->status, RunStatus::kInterrupted);
  EXPECT_EQ(rig.status(), "interrupted");
  const std::size_t done = rig.host.performed.size();
  EXPECT_LT(done, 9u);
  rig.kill();
  ASSERT_TRUE(rig.resume());
  rig.run();
  ASSERT_TRUE(rig.outcome);
  EXPECT_EQ(rig.outcome->status, RunStatus::kSucceeded) << outcome_text(rig);
  for (const auto& [key, times] : rig.host.times) EXPECT_EQ(times, 1) << key;
}

TEST(DurableRun, ASecondInterruptCutsWhatRunsAndItIsMadeAgain) {
  RunRig rig(plan_of(plan_text("  slow: {tool: pay, with: {}}\n  far: {tool: put, with: {}}\n")));
  bool answers = false;
  rig.host.cut_is_doubt = false;
  rig.host.answer = [&](const StartCall& start) {
    return answers ? echo(start) : ScriptedHost::Answer();
  };
  rig.start();
  rig.run();
  EXPECT_EQ(rig.host.performed.size(), 2u);
  rig.loop->interrupt();
  rig.run();
  EXPECT_FALSE(rig.outcome) << "what runs may end";
  rig.loop->interrupt();
  rig.run();
  ASSERT_TRUE(rig.outcome);
  EXPECT_EQ(rig.outcome->status, RunStatus::kInterrupted);
  answers = true;
  rig.kill();
  ASSERT_TRUE(rig.resume());
  rig.run();
  ASSERT_TRUE(rig.outcome);
  EXPECT_EQ(rig.outcome->status, RunStatus::kSucceeded) << outcome_text(rig);
}

struct Verdict {
  const char* name;
  ResolveMessage::Verdict verdict;
  RunStatus status;
  int performed;
};

TEST(DurableRun, DoubtStopsTheRunUntilItIsResolved) {
  for (const Verdict& row :
       {Verdict{"done", ResolveMessage::Verdict::kDone, RunStatus::kSucceeded, 1},
        Verdict{"failed", ResolveMessage::Verdict::kFailed, RunStatus::kFailed, 1},
        Verdict{"retry", ResolveMessage::Verdict::kRetry, RunStatus::kSucceeded, 2}}) {
    SCOPED_TRACE(row.name);
    RunRig rig(
        plan_of(plan_text("  paid: {tool: pay, with: {}}\n"
                          "result: \"{{ steps.paid.output }}\"\n")));
    bool knows = false;
    rig.host.answer = [&](const StartCall& start) {
      return knows ? echo(start) : failed(ErrorCode::kTimeout, true);
    };
    rig.start();
    rig.run();
    ASSERT_TRUE(rig.outcome);
    EXPECT_EQ(rig.outcome->status, RunStatus::kInDoubt) << outcome_text(rig);
    EXPECT_EQ(rig.status(), "in_doubt");
    knows = true;
    rig.kill();
    ASSERT_TRUE(send(rig, ResolveMessage{"nobody", row.verdict, Value::integer(7), ""}));
    ASSERT_TRUE(send(rig, ResolveMessage{"paid", row.verdict, Value::integer(7), "seen"}));
    ASSERT_TRUE(rig.resume());
    hear(rig);
    rig.run();
    ASSERT_TRUE(rig.outcome);
    EXPECT_EQ(rig.outcome->status, row.status) << outcome_text(rig);
    EXPECT_EQ(rig.host.performed.size(), static_cast<std::size_t>(row.performed));
    EXPECT_TRUE(rig.journal->inbox(RunRig::kRun, 0)->empty()) << "what was taken is acknowledged";
  }
}

struct ProbeCase {
  CallProbed::State state;
  RunStatus status;
  std::size_t performed;
};

TEST(DurableRun, AProbeSettlesALiveDoubt) {
  for (const ProbeCase& row : {ProbeCase{CallProbed::State::kDone, RunStatus::kSucceeded, 1},
                               ProbeCase{CallProbed::State::kAbsent, RunStatus::kSucceeded, 2},
                               ProbeCase{CallProbed::State::kUnknown, RunStatus::kInDoubt, 1}}) {
    SCOPED_TRACE(static_cast<int>(row.state));
    RunRig rig(
        plan_of(plan_text("  paid: {tool: pay, with: {}, retry: {attempts: 2, on: [TIMEOUT]}}\n")));
    rig.host.answer = [](const StartCall& start) {
      return start.call.attempt > 1 ? echo(start) : failed(ErrorCode::kTimeout, true);
    };
    rig.host.probe_answer = [&](const StartCall&) { return CallProbed{{}, row.state, {}, {}}; };
    rig.start();
    rig.run();
    ASSERT_TRUE(rig.outcome);
    EXPECT_EQ(rig.outcome->status, row.status) << outcome_text(rig);
    EXPECT_EQ(rig.host.performed.size(), row.performed);
  }
}

TEST(DurableRun, AStreamGoesOnBehindWhatIsJournaled) {
  const std::string text = plan_text(
      "  line: {tool: lines, with: {}}\n"
      "  each: {for_each: \"{{ steps.line.output }}\", tool: put, with: {args: [\"{{ item }}\"]}}\n"
      "result: \"{{ steps.each.output | length }}\"\n");
  auto script = [](ScriptedHost& host) {
    host.answer = echo;
    host.items = [](const StartCall&) {
      std::vector<Value> items;
      for (int i = 0; i < 700; ++i) items.push_back(Value::integer(i));
      return items;
    };
  };
  RunRig whole(plan_of(text));
  script(whole.host);
  whole.start();
  whole.run();
  ASSERT_TRUE(whole.outcome);
  ASSERT_EQ(whole.outcome->result, Value::integer(700)) << outcome_text(whole);
  expect_same_end_behind(whole, script, 37);
  auto changed = whole.cut_at(300);
  script(changed->host);
  changed->host.items = [](const StartCall&) { return std::vector<Value>(700, Value::integer(5)); };
  ASSERT_TRUE(changed->resume());
  changed->run();
  ASSERT_TRUE(changed->outcome);
  EXPECT_EQ(changed->outcome->status, RunStatus::kFailed);
  EXPECT_NE(outcome_text(*changed).find("is not what it was"), std::string::npos)
      << outcome_text(*changed);
}

TEST(DurableRun, AWaitSurvivesAndASignalIsTakenOnce) {
  RunRig rig(
      plan_of(plan_text("  first: {wait: {signal: go}}\n"
                        "  second: {after: [first], wait: {signal: go}}\n"
                        "result: \"{{ [steps.first.output, steps.second.output] }}\"\n")));
  rig.host.answer = echo;
  rig.start();
  rig.run();
  EXPECT_FALSE(rig.outcome);
  EXPECT_EQ(rig.status(), "waiting");
  ASSERT_TRUE(send(rig, SignalMessage{"go", "", Value::integer(1)}));
  rig.kill();
  ASSERT_TRUE(rig.resume());
  const auto messages = *rig.journal->inbox(RunRig::kRun, 0);
  hear(rig);
  for (const InboxMessage& message : messages) rig.loop->take(message);
  rig.run();
  EXPECT_FALSE(rig.outcome) << "one signal, two waits";
  rig.kill();
  ASSERT_TRUE(rig.resume());
  for (const InboxMessage& message : messages) rig.loop->take(message);
  rig.run();
  EXPECT_FALSE(rig.outcome) << "a message that was taken before is not taken again";
  ASSERT_TRUE(send(rig, SignalMessage{"go", "", Value::integer(2)}));
  hear(rig);
  rig.run();
  ASSERT_TRUE(rig.outcome);
  EXPECT_EQ(to_json(rig.outcome->result), "[1,2]");
}

TEST(DurableRun, AnEndlessLoopOfValuesIsInterruptedResumedAndCancelled) {
  RunRig rig(
      plan_of(plan_text("  a: {value: 1, repeat: {until: \"{{ false }}\", max: 4000000000}}\n"
                        "  b: {tool: look, with: {}}\n")));
  rig.host.answer = echo;
  rig.start();
  rig.host.run(50);
  EXPECT_EQ(rig.host.performed.size(), 1u) << "a loop keeps other steps from starting";
  rig.loop->interrupt();
  rig.host.run(50);
  ASSERT_TRUE(rig.outcome);
  EXPECT_EQ(rig.outcome->status, RunStatus::kInterrupted);
  rig.kill();
  ASSERT_TRUE(rig.resume());
  rig.host.run(5);
  EXPECT_FALSE(rig.outcome);
  rig.loop->cancel("enough");
  rig.host.run(50);
  ASSERT_TRUE(rig.outcome);
  EXPECT_EQ(rig.outcome->status, RunStatus::kCancelled) << outcome_text(rig);
  expect_replays(rig);
  EXPECT_EQ(rig.record_names().back(), "ended");
}

TEST(DurableRun, ACompactedRunGoesOn) {
  RunRig whole(plan_of(kMixed));
  whole.host.answer = echo;
  whole.start();
  whole.run();
  for (int steps = 2; steps < 60; ++steps) {
    SCOPED_TRACE(steps);
    RunRig rig(plan_of(kMixed));
    rig.host.answer = echo;
    rig.host.probe_answer = [](const StartCall& start) {
      CallProbed probed;
      probed.state = CallProbed::State::kDone;
      probed.output = std::get<CallReturned>(*echo(start)).output;
      return probed;
    };
    rig.compact_after = 4;
    rig.start();
    for (int i = 0; i < steps; ++i) rig.host.step();
    if (rig.outcome) break;
    rig.journal->commit_once();
    rig.kill();
    if (rig.records().empty()) continue;
    auto report = rig.resume();
    if (!report && report.error().code() == ErrorCode::kRunEnded) break;
    ASSERT_TRUE(report) << report.error().to_string();
    rig.run();
    ASSERT_TRUE(rig.outcome);
    EXPECT_EQ(outcome_text(rig), outcome_text(whole));
    expect_replays(rig);
    EXPECT_EQ(rig.journal->find_run(RunRig::kRun)->card.tasks_done, 10u);
  }
}

// A plan that a step produced comes back from the journal, and from a snapshot, not from the step.
TEST(DurableRun, ProducedPlansAreAdoptedBehindEveryRecord) {
  const std::string text =
      std::string(kTools) +
      "params: {p: {type: object}}\n"
      "steps:\n"
      "  made: {value: \"{{ params.p }}\"}\n"
      "  ran: {for_each: \"{{ [1, 2] }}\", plan: \"{{ steps.made.output }}\", with: {n: \"{{ item "
      "}}\"}, limits: {operators: [value], steps: 9, tasks: 9}}\n"
      "  kept: {for_each: \"{{ steps.ran.output }}\", tool: put, with: {args: [\"{{ item }}\"]}}\n"
      "result: \"{{ [steps.ran.output, steps.kept.output | length] }}\"\n";
  auto produced = parse_json(R"({"sluice": 1, "params": {"n": {"type": "integer"}},
      "steps": {"one": {"value": "{{ params.n + 1 }}"},
                "two": {"value": "{{ steps.one.output * 2 }}"}},
      "result": "{{ steps.two.output }}"})");
  ASSERT_TRUE(produced);
  RunRig whole(plan_of(text));
  whole.host.answer = echo;
  whole.start(Value::object({{"p", *produced}}));
  whole.run();
  ASSERT_TRUE(whole.outcome);
  ASSERT_EQ(to_json(whole.outcome->result), "[[4,6],2]") << outcome_text(whole);
  for (std::size_t cut = 1; cut < whole.records().size(); ++cut) {
    for (std::uint64_t compact_after : {0, 1}) {
      SCOPED_TRACE(cut);
      auto rig = whole.cut_at(cut);
      rig->compact_after = compact_after;
      ASSERT_TRUE(rig->resume());
      rig->host.run(2);
      if (!rig->outcome) {
        rig->kill();
        auto again = rig->resume();
        if (!again && again.error().code() == ErrorCode::kRunEnded) continue;
        ASSERT_TRUE(again) << again.error().to_string();
        rig->run();
      }
      ASSERT_TRUE(rig->outcome);
      EXPECT_EQ(outcome_text(*rig), outcome_text(whole));
      expect_replays(*rig);
    }
  }
}

TEST(DurableRun, WhatIsDoneIsUndoneOnceBehindEveryRecord) {
  const std::string text =
      "sluice: 1\n"
      "undo: true\n"
      "tools:\n"
      "  pay: {kind: process, command: [pay], effect: idempotent, undo: {tool: back}}\n"
      "  back: {kind: process, command: [back], effect: idempotent}\n"
      "  bad: {kind: process, command: [bad], effect: read}\n"
      "steps:\n"
      "  a: {tool: pay, with: {args: [\"1\"]}}\n"
      "  b: {after: [a], tool: pay, with: {args: [\"2\"]}}\n"
      "  c: {after: [b], tool: bad, with: {}}\n";
  auto script = [](ScriptedHost& host) {
    host.answer = [](const StartCall& start) {
      if (start.undo) return returned(Value());
      return start.task_id == "c" ? failed(ErrorCode::kCodeFailed) : echo(start);
    };
  };
  RunRig whole(plan_of(text));
  script(whole.host);
  whole.start();
  whole.run();
  ASSERT_TRUE(whole.outcome);
  EXPECT_EQ(whole.outcome->status, RunStatus::kFailed);
  EXPECT_EQ(whole.host.performed, (std::vector<std::string>{"a", "b", "c", "b", "a"}));
  expect_same_end_behind(whole, script, 1, [](const RunRig& rig) {
    for (const auto& [key, times] : rig.host.times) EXPECT_EQ(times, 1) << key;
  });
}

TEST(DurableRun, ARunThatDiedBehindItsLastRecordHasEnded) {
  RunRig rig(plan_of(plan_text("  a: {value: 1}\n")));
  rig.start();
  rig.run();
  ASSERT_TRUE(rig.outcome);
  auto cut = rig.cut_at(rig.records().size());
  auto report = cut->resume();
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_TRUE(report->had_ended);
  EXPECT_TRUE(cut->outcome) << "nothing is left to wait for";
  EXPECT_EQ(outcome_text(*cut), outcome_text(rig));
  EXPECT_EQ(cut->records().size(), rig.records().size());
  EXPECT_EQ(cut->status(), "succeeded");
  EXPECT_EQ(cut->journal->find_run(RunRig::kRun)->state, JournaledRunState::kEnded);
}

}  // namespace
}  // namespace sluice::testing
