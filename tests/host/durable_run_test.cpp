// Runs that survive: interrupted, crashed, in doubt, waiting, cancelled; taken up from a journal on
// the disk.
#include <gmock/gmock.h>

#include <csignal>
#include <set>
#include <thread>

#include "host/runs/run_messages.h"
#include "tests/host/durable_bench.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

constexpr const char* kThree = R"(steps:
  a: {tool: note, with: {args: [a]}}
  b: {tool: note, with: {args: ["{{ steps.a.output }}b"]}}
  c: {tool: note, with: {args: ["{{ steps.b.output }}c"]}}
result: "{{ steps.c.output }}"
)";

class DurableRuns : public DurableBench {};

TEST_F(DurableRuns, LeaveTheWholeRunInTheJournal) {
  auto report = run(plan_with_note("once", kThree));
  ASSERT_EQ(status(report), "succeeded");
  EXPECT_TRUE(report->journaled && report->ended);
  auto kept = journal().find_run(report->run_id);
  ASSERT_TRUE(kept.has_value());
  EXPECT_EQ(kept->state, JournaledRunState::kEnded);
  EXPECT_EQ(kept->card.status, "succeeded");
  EXPECT_EQ(kept->card.plan, "plan.yaml");
  EXPECT_EQ(kept->card.tasks_done, 3u);
  auto past = PastRun::read(journal(), report->run_id, {.check = true});
  ASSERT_TRUE(past.has_value()) << past.error().to_string();
  EXPECT_FALSE((*past)->recovery().difference());
  ASSERT_TRUE((*past)->ended());
  EXPECT_EQ((*past)->load((*past)->ended()->result)->as_string(), "abc");
  EXPECT_EQ((*past)->summary().steps.size(), 3u);
  EXPECT_EQ((*past)->segments().size(), 1u);
}

TEST_F(DurableRuns, WithoutAJournalLeaveNothing) {
  RunSettings without = settings();
  without.journal = nullptr;
  auto report = run_plan(request(plan_with_note("once", kThree)), without, watching);
  ASSERT_EQ(status(report), "succeeded");
  EXPECT_FALSE(report->journaled);
  EXPECT_TRUE(journal().list_runs({})->empty());
}

TEST_F(DurableRuns, InterruptedGoOnWhereTheyStopped) {
  watching.on_event = [](const TraceEvent& event) {
    if (task_done(event, "a")) ::raise(SIGINT);
  };
  auto report = run(plan_with_note("once", kThree));
  ASSERT_EQ(status(report), "interrupted");
  EXPECT_FALSE(report->ended);
  const auto before = ledger();
  EXPECT_LT(before.size(), 3u);
  watching.on_event = nullptr;
  report = resume(report->run_id);
  ASSERT_EQ(status(report), "succeeded");
  EXPECT_EQ(report->outcome.result.as_string(), "abc");
  EXPECT_THAT(ledger(), ElementsAre("a", "ab", "abc"));
  ASSERT_TRUE(report->resumed);
  EXPECT_EQ(report->resumed->calls_done, before.size());
  EXPECT_EQ(report->summary.steps.size(), 3u) << "the summary is of the whole run";
}

// A plan with `note` and `killer`.
std::string deadly(std::string_view effect, std::string_view steps) {
  std::string text = plan_with_note(effect, steps);
  return text.insert(text.find("  note:"), kKiller);
}

TEST_F(DurableRuns, CrashedRepeatNothingThatIsDone) {
  const std::string id = kill_by_tool(deadly("once", R"(steps:
  a: {tool: note, with: {args: [a]}}
  b: {tool: note, with: {args: ["{{ steps.a.output }}b"]}}
  die: {tool: killer, after: [b]}
  c: {tool: note, with: {args: ["{{ steps.b.output }} {{ steps.die.output }}"]}}
result: "{{ steps.c.output }}"
)"));
  EXPECT_THAT(ledger(), ElementsAre("a", "ab"));
  auto report = resume(id);
  ASSERT_EQ(status(report), "succeeded");
  EXPECT_THAT(ledger(), ElementsAre("a", "ab", "ab alive"));
  EXPECT_EQ(report->resumed->calls_done, 2u);
  EXPECT_THAT(report->resumed->repeated, ElementsAre("die"));
  auto past = PastRun::read(journal(), id, {.check = true});
  ASSERT_TRUE(past.has_value()) << past.error().to_string();
  EXPECT_FALSE((*past)->recovery().difference());
  EXPECT_EQ((*past)->segments().size(), 2u);
}

TEST_F(DurableRuns, CrashAgainAndAgain) {
  const std::string text = plan_with_note("idempotent", kThree);
  const std::string id =
      crash(text, [](const TraceEvent& event) { return call_started(event, "b"); });
  crash_again(id, [](const TraceEvent& event) { return task_done(event, "b"); });
  crash_again(id, [](const TraceEvent& event) { return task_done(event, "c"); });
  auto report = resume(id);
  ASSERT_EQ(status(report), "succeeded");
  EXPECT_EQ(report->outcome.result.as_string(), "abc");
}

TEST_F(DurableRuns, TheIdOfAnEndedRunCannotBeResumed) {
  auto report = run(plan_with_note("once", kThree));
  auto again = resume(report->run_id);
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().error->code(), ErrorCode::kRunEnded);
  again = resume("nosuchrun");
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().error->code(), ErrorCode::kRunUnknown);
}

TEST_F(DurableRuns, ACallThatMayHaveHappenedIsInDoubtUntilAPersonSays) {
  // It leaves, writes, and then takes so long that we are gone before it answers.
  const std::string text =
      "sluice: 1\ntools:\n  slow: {kind: process, stdout: text, effect: once,\n"
      "    command: [sh, -c, 'echo paid >> ledger; kill -9 $PPID; sleep 5']}\n"
      "  note: {kind: process, stdout: text, effect: once,\n"
      "    command: [sh, -c, 'echo \"$1\" >> ledger; printf %s \"$1\"', sh]}\n"
      "steps:\n  pay: {tool: slow}\n"
      "  tell: {tool: note, with: {args: [\"told {{ steps.pay.output }}\"]}}\n"
      "result: \"{{ steps.tell.output }}\"\n";
  const std::string id = kill_by_tool(text);
  auto report = resume(id);
  ASSERT_TRUE(report.has_value()) << status(report);
  EXPECT_EQ(report->outcome.status, RunStatus::kInDoubt) << status(report);
  EXPECT_FALSE(report->ended);
  ASSERT_EQ(report->doubts.size(), 1u);
  EXPECT_EQ(report->doubts[0].task_id, "pay");
  EXPECT_THAT(report->resumed->asked, ElementsAre("pay"));
  EXPECT_EQ(journal().find_run(id)->card.status, "in_doubt");

  auto past = PastRun::read(journal(), id);
  ASSERT_TRUE(past.has_value()) << past.error().to_string();
  ResolveMessage wrong{.task = "pai"};
  auto checked = check_resolve(**past, wrong);
  ASSERT_FALSE(checked.has_value());
  EXPECT_EQ(checked.error().code(), ErrorCode::kTaskUnknown);
  EXPECT_THAT(checked.error().message(), HasSubstr("did you mean pay?"));
  ResolveMessage done{
      .task = "pay", .verdict = ResolveMessage::Verdict::kDone, .output = Value::string("p-17")};
  ASSERT_TRUE(check_resolve(**past, done).has_value());
  ASSERT_TRUE(send_message(journal(), id, done).has_value());
  report = resume(id);
  ASSERT_EQ(status(report), "succeeded");
  EXPECT_EQ(report->outcome.result.as_string(), "told p-17");
  EXPECT_THAT(ledger(), ElementsAre("paid", "told p-17")) << "paid once";
}

TEST_F(DurableRuns, AProbeSaysWhatBecameOfACall) {
  const std::string text =
      "sluice: 1\ntools:\n"
      "  ask: {kind: process, stdout: json, effect: read, command: [sh, -c,\n"
      "    'if grep -q \"$1\" ledger; then echo "
      "\"{\\\"state\\\":\\\"done\\\",\\\"output\\\":\\\"found\\\"}\";"
      " else echo \"{\\\"state\\\":\\\"absent\\\"}\"; fi', sh]}\n"
      "  slow: {kind: process, stdout: text, effect: once,\n"
      "    probe: {tool: ask, with: {args: [\"{{ key }}\"]}},\n"
      "    command: [sh, -c, 'echo $SLUICE_KEY >> ledger; kill -9 $PPID; sleep 5']}\n"
      "steps:\n  pay: {tool: slow}\nresult: \"{{ steps.pay.output }}\"\n";
  const std::string id = kill_by_tool(text);
  auto report = resume(id);
  ASSERT_EQ(status(report), "succeeded");
  EXPECT_EQ(report->outcome.result.as_string(), "found");
  EXPECT_EQ(ledger().size(), 1u);
}

constexpr const char* kApproval = R"(sluice: 1
steps:
  sum: {value: 300}
  ask:
    wait: {signal: approve, of: finance, ask: "Pay {{ steps.sum.output }}?"}
    output: {type: object, required: [ok], properties: {ok: {type: boolean}}}
result: "{{ steps.ask.output.ok }}"
)";

TEST_F(DurableRuns, WaitForAPersonAcrossProcesses) {
  watching.on_event = [](const TraceEvent& event) {
    if (event.kind == TraceKind::kWaiting) ::raise(SIGINT);
  };
  auto report = run(kApproval);
  ASSERT_EQ(status(report), "interrupted");
  const std::string id = report->run_id;
  watching.on_begun = [](const std::string&) { ::raise(SIGINT); };
  report = resume(id);
  ASSERT_EQ(status(report), "interrupted");
  ASSERT_EQ(report->waits.size(), 1u);
  EXPECT_EQ(report->waits[0].wait.signal, "approve");
  EXPECT_EQ(report->waits[0].wait.of, "finance");
  EXPECT_EQ(report->waits[0].wait.ask, "Pay 300?");

  auto past = PastRun::read(journal(), id);
  ASSERT_TRUE(past.has_value()) << past.error().to_string();
  ASSERT_EQ((*past)->state().waits().size(), 1u);
  auto checked = check_signal(**past, {"aprove", "", Value()});
  ASSERT_FALSE(checked.has_value());
  EXPECT_EQ(checked.error().code(), ErrorCode::kSignalUnknown);
  EXPECT_THAT(checked.error().message(), HasSubstr("did you mean approve?"));
  checked = check_signal(**past, {"approve", "", Value::boolean(true)});
  ASSERT_FALSE(checked.has_value());
  EXPECT_EQ(checked.error().code(), ErrorCode::kSignalInvalid);
  checked = check_signal(**past, {"approve", "sum", *parse_json(R"({"ok":true})")});
  ASSERT_FALSE(checked.has_value());
  EXPECT_EQ(checked.error().code(), ErrorCode::kTaskUnknown);
  const SignalMessage good{"approve", "ask", *parse_json(R"({"ok":true})")};
  ASSERT_TRUE(check_signal(**past, good).has_value());
  ASSERT_TRUE(send_message(journal(), id, good).has_value());
  watching = {};
  report = resume(id);
  ASSERT_EQ(status(report), "succeeded");
  EXPECT_TRUE(report->outcome.result.as_bool());
}

TEST_F(DurableRuns, ASignalReachesALiveRun) {
  std::thread sender;
  watching.on_event = [&](const TraceEvent& event) {
    if (event.kind != TraceKind::kWaiting || sender.joinable()) return;
    sender = std::thread([&, id = watching.run_id] {
      auto other = open_run_journal(place());  // as another process would
      ASSERT_TRUE(other.has_value());
      ASSERT_TRUE(
          send_message(**other, id, SignalMessage{"approve", "", *parse_json(R"({"ok":false})")})
              .has_value());
    });
  };
  auto report = run(kApproval);
  sender.join();
  ASSERT_EQ(status(report), "succeeded");
  EXPECT_FALSE(report->outcome.result.as_bool());
}

TEST_F(DurableRuns, ALiveRunBelongsToItsProcess) {
  std::optional<Error> refused;
  watching.on_event = [&](const TraceEvent& event) {
    if (!task_done(event, "a")) return;
    auto other = open_run_journal(place());
    ASSERT_TRUE(other.has_value());
    auto taken = (*other)->take_over(watching.run_id);
    if (!taken) refused = taken.error();
  };
  auto report = run(plan_with_note("once", kThree));
  ASSERT_EQ(status(report), "succeeded");
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->code(), ErrorCode::kRunBusy);
}

constexpr const char* kUndone = R"(  undo_it: {kind: process, stdout: text, effect: idempotent,
    command: [sh, -c, 'echo "undo $1" >> ledger', sh]}
  book: {kind: process, stdout: text, effect: once,
    undo: {tool: undo_it, with: {args: ["{{ output }}"]}},
    command: [sh, -c, 'echo "$1" >> ledger; printf %s "$1"', sh]}
steps:
  a: {tool: book, with: {args: [first]}}
  b: {tool: book, with: {args: [second]}, after: [a]}
  die: {tool: killer, after: [b]}
  ask: {wait: {signal: go}, after: [b]}
)";

TEST_F(DurableRuns, ACancelledRunThatNobodyHasIsUndoneAndEnds) {
  const std::string id =
      kill_by_tool(std::string("sluice: 1\nundo: true\ntools:\n") + kKiller + kUndone);
  EXPECT_THAT(ledger(), ElementsAre("first", "second"));
  auto report = resume_run({.run_id = id, .cancel = "wrong month"}, settings(), watching);
  ASSERT_TRUE(report.has_value()) << status(report);
  EXPECT_EQ(report->outcome.status, RunStatus::kCancelled) << status(report);
  EXPECT_THAT(ledger(), ElementsAre("first", "second", "undo second", "undo first"));
  EXPECT_EQ(journal().find_run(id)->state, JournaledRunState::kEnded);
  EXPECT_EQ(journal().find_run(id)->card.status, "cancelled");
}

TEST_F(DurableRuns, ToBeCancelledIsNotToGoOn) {
  const std::string id = crash(plan_with_note("idempotent", kThree),
                               [](const TraceEvent& event) { return call_started(event, "b"); });
  auto report = resume_run({.run_id = id, .cancel = "no"}, settings(), watching);
  ASSERT_TRUE(report.has_value()) << status(report);
  EXPECT_EQ(report->outcome.status, RunStatus::kCancelled) << status(report);
  EXPECT_THAT(ledger(), ElementsAre("a")) << "nothing more was called";
}

TEST_F(DurableRuns, AModelThatIsAnotherNowIsRefusedUntilAccepted) {
  const std::string text =
      "sluice: 1\nparams: {ask: {type: boolean, default: false}}\nsteps:\n"
      "  w: {wait: {signal: go}}\n"
      "  m: {llm: default, with: {prompt: hello}, when: \"{{ params.ask }}\"}\n";
  RunSettings first = settings();
  first.models = model_preferences("http://127.0.0.1:9/v1#one", "");
  watching.on_event = [](const TraceEvent& event) {
    if (event.kind == TraceKind::kWaiting) ::raise(SIGINT);
  };
  auto report = run_plan(request(text), first, watching);
  ASSERT_EQ(status(report), "interrupted");
  const std::string id = report->run_id;
  RunSettings second = first;
  second.models = model_preferences("http://127.0.0.1:9/v1#two", "");
  report = resume_run({.run_id = id, .other_model = true}, second, watching);
  ASSERT_FALSE(report.has_value());
  ASSERT_TRUE(report.error().error);
  EXPECT_EQ(report.error().error->code(), ErrorCode::kRunChanged);
  EXPECT_THAT(report.error().error->message(), HasSubstr("#one"));
  EXPECT_THAT(report.error().error->message(), HasSubstr("#two"));
  EXPECT_EQ(journal().find_run(id)->owner, "") << "it was given back";
  // As before, without a word about models: the recorded one.
  watching = {};
  ASSERT_TRUE(send_message(journal(), id, SignalMessage{"go", "", Value()}).has_value());
  RunSettings third = settings();
  third.models.location = "http://127.0.0.1:9/v1#three";
  report = resume_run({.run_id = id}, third, watching);
  EXPECT_EQ(status(report), "succeeded");
}

TEST_F(DurableRuns, LargeValuesComeBackFromTheJournal) {
  const std::string text = std::string("sluice: 1\ntools:\n") + kKiller +
                           "  big: {kind: process, stdout: text, effect: once, command: [sh, -c,\n"
                           "    'echo big >> ledger; head -c 300000 /dev/zero | tr \"\\\\0\" x']}\n"
                           "steps:\n  a: {tool: big}\n  b: {tool: killer, after: [a]}\n"
                           "  c: {value: \"{{ steps.a.output | length }}\", after: [b]}\n"
                           "result: \"{{ steps.c.output }}\"\n";
  const std::string id = kill_by_tool(text);
  auto report = resume(id);
  ASSERT_EQ(status(report), "succeeded");
  EXPECT_EQ(report->outcome.result.as_int(), 300'000);
  EXPECT_THAT(ledger(), ElementsAre("big"));
}

TEST_F(DurableRuns, AProducedPlanGoesOnAsItWasAdmitted) {
  const std::string id = kill_by_tool(deadly("once", R"(steps:
  make:
    value:
      sluice: 1
      steps:
        x: {tool: note, with: {args: [x]}}
        die: {tool: killer, after: [x]}
        y: {tool: note, with: {args: [y]}, after: [die]}
  run:
    plan: "{{ steps.make.output }}"
    limits: {operators: [tool], tools: [note, killer], steps: 5, tasks: 10}
)"));
  EXPECT_THAT(ledger(), ElementsAre("x"));
  auto report = resume(id);
  ASSERT_EQ(status(report), "succeeded");
  EXPECT_THAT(ledger(), ElementsAre("x", "y"));
}

// The disk fills up with the very first record.
class NoRoomForAHeader final : public OtherJournal {
 public:
  using OtherJournal::OtherJournal;
  Result<RunLease> create_run(std::string_view, const RunCard&, JournalBatch) override {
    return fail(ErrorCode::kDiskFull, "no room");
  }
};

TEST_F(DurableRuns, NothingBeginsBeforeTheHeaderIsOnTheDisk) {
  NoRoomForAHeader full(journal());
  RunSettings made = settings();
  made.journal = &full;
  auto report = run_plan(request(plan_with_note("read", kThree)), made, watching);
  ASSERT_FALSE(report.has_value()) << status(report);
  ASSERT_TRUE(report.error().error);
  EXPECT_EQ(report.error().error->code(), ErrorCode::kDiskFull);
  EXPECT_THAT(ledger(), ElementsAre());
  EXPECT_TRUE(journal().list_runs({})->empty()) << "a run without a header is nobody's";
}

class DiesAtTheEnd final : public OtherJournal {
 public:
  using OtherJournal::OtherJournal;
  Result<void> close_run(const RunLease&, const RunCard&, JournaledRunState) override {
    ::_exit(9);
  }
};

TEST_F(DurableRuns, ThatEndedAsTheirProcessDiedAreClosedAndTold) {
  for (const char* result : {"c", "bad"}) {
    const bool fails = result == std::string("bad");
    std::string text = plan_with_note("once", kThree);
    if (fails) {
      text.insert(text.find("steps:"), "  no: {kind: process, command: [\"false\"]}\n");
      text.insert(text.find("result:"), "  bad: {tool: no, after: [c]}\n");
    }
    const std::string id = in_child([&](Watching& child) {
      DiesAtTheEnd dies(journal());
      RunSettings made = settings();
      made.journal = &dies;
      run_plan(request(text), made, child);
    });
    ASSERT_EQ(journal().find_run(id)->state, JournaledRunState::kOpen);
    std::filesystem::remove(dir.path() / "ledger");
    auto report = resume(id);
    ASSERT_TRUE(report.has_value()) << status(report);
    EXPECT_EQ(report->outcome.status, fails ? RunStatus::kFailed : RunStatus::kSucceeded);
    EXPECT_EQ(report->outcome.errors.empty(), !fails);
    EXPECT_EQ(report->outcome.result, Value::string("abc"));
    EXPECT_EQ(report->summary.steps.size(), fails ? 4u : 3u);
    EXPECT_TRUE(report->ended && report->journaled);
    EXPECT_THAT(ledger(), ElementsAre()) << "nothing is called any more";
    EXPECT_EQ(journal().find_run(id)->state, JournaledRunState::kEnded);
    EXPECT_EQ(journal().find_run(id)->card.status, fails ? "failed" : "succeeded");
    EXPECT_EQ(status(resume(id)).substr(0, 9), "RUN_ENDED");
  }
}

// Nothing of the run is needed any more but its journal.
TEST_F(DurableRuns, ThatEndedAreClosedWhateverTheirModelIsNow) {
  const std::string text =
      "sluice: 1\nparams: {ask: {type: boolean, default: false}}\nsteps:\n"
      "  m: {llm: default, with: {prompt: hello}, when: \"{{ params.ask }}\"}\nresult: 7\n";
  const std::string id = in_child([&](Watching& child) {
    DiesAtTheEnd dies(journal());
    RunSettings made = settings();
    made.models = model_preferences("http://127.0.0.1:9/v1#one", "");
    made.journal = &dies;
    run_plan(request(text), made, child);
  });
  RunSettings other = settings();
  other.models = model_preferences("http://127.0.0.1:9/v1#two", "");
  auto report = resume_run({.run_id = id, .other_model = true}, other, watching);
  ASSERT_EQ(status(report), "succeeded");
  EXPECT_EQ(report->outcome.result.as_int(), 7);
  EXPECT_EQ(journal().find_run(id)->state, JournaledRunState::kEnded);
}

TEST_F(DurableRuns, AreFoundByABeginningOfTheirId) {
  auto first = run(plan_with_note("once", kThree));
  auto second = run(plan_with_note("once", kThree));
  EXPECT_EQ(find_run(journal(), "last")->run_id, second->run_id);
  EXPECT_EQ(find_run(journal(), first->run_id)->run_id, first->run_id);
  EXPECT_EQ(find_run(journal(), first->run_id.substr(0, 15))->run_id, first->run_id);
  auto both = find_run(journal(), first->run_id.substr(0, 3));
  ASSERT_FALSE(both.has_value());
  EXPECT_THAT(both.error().message(), HasSubstr("2 runs begin with"));
  auto none = find_run(journal(), "zzz");
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code(), ErrorCode::kRunUnknown);
}

}  // namespace
}  // namespace sluice
