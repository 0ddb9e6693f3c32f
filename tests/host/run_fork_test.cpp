// Forks: what a new run takes from an old one, and what it does again.
#include "host/runs/run_fork.h"

#include <gmock/gmock.h>

#include <csignal>

#include "host/runs/run_messages.h"
#include "tests/host/durable_bench.h"

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kSteps = R"(params: {word: {type: string, default: x}}
steps:
  a: {tool: note, with: {args: [a]}}
  b: {tool: note, with: {args: ["{{ steps.a.output }}b"]}}
  c: {tool: note, with: {args: ["{{ steps.b.output }}c{{ params.word }}"]}}
  d: {tool: note, with: {args: [d]}}
result: ["{{ steps.c.output }}", "{{ steps.d.output }}"]
)";

class Forks : public DurableBench {
 protected:
  std::string old_run() {
    auto report = run(plan_with_note("idempotent", kSteps));
    EXPECT_EQ(status(report), "succeeded");
    std::filesystem::remove(dir.path() / "ledger");
    return report->run_id;
  }
  Report fork(const std::string& id, const std::string& from, const std::string& text,
              Value params = Value::object({})) {
    RunRequest made = request(text, params);
    auto prepared = prepare_fork(journal(), id, from, made.plan);
    EXPECT_TRUE(prepared.has_value()) << prepared.error().to_string();
    last = *prepared;
    made.forked = prepared->forked;
    return run_plan(made, settings(), watching);
  }
  ForkPreparation last;
};

TEST_F(Forks, RunAgainFromAStepAndTakeTheRest) {
  const std::string id = old_run();
  auto report = fork(id, "c", plan_with_note("idempotent", kSteps));
  ASSERT_EQ(status(report), "succeeded");
  EXPECT_EQ(to_json(report->outcome.result), R"(["abcx","d"])");
  EXPECT_THAT(ledger(), ElementsAre("abcx")) << "only c was called";
  EXPECT_THAT(last.again, ElementsAre("c"));
  EXPECT_EQ(last.reusable.size(), 3u);
  EXPECT_EQ(journal().find_run(report->run_id)->card.forked_from, id);
  auto past = PastRun::read(journal(), report->run_id, {.check = true});
  ASSERT_TRUE(past.has_value()) << past.error().to_string();
  EXPECT_FALSE((*past)->recovery().difference());
  EXPECT_EQ((*past)->header().forked_from, id);
  EXPECT_EQ((*past)->header().fork_step, "c");
}

TEST_F(Forks, WhatChangedIsDoneAgain) {
  const std::string id = old_run();
  std::string other = kSteps;
  other.replace(other.find("args: [d]"), 9, "args: [D]");
  auto report = fork(id, "c", plan_with_note("idempotent", other),
                     Value::object({{"word", Value::string("y")}}));
  ASSERT_EQ(status(report), "succeeded");
  EXPECT_EQ(to_json(report->outcome.result), R"(["abcy","D"])");
  EXPECT_THAT(ledger(), testing::UnorderedElementsAre("abcy", "D"));
}

TEST_F(Forks, FromTheFirstStepDoAllBehindItAgain) {
  const std::string id = old_run();
  auto report = fork(id, "a", plan_with_note("idempotent", kSteps));
  ASSERT_EQ(status(report), "succeeded");
  EXPECT_THAT(ledger(), ElementsAre("a", "ab", "abcx"));
  EXPECT_EQ(to_json(last.params), R"({"word":"x"})");
}

TEST_F(Forks, CallsWithTheSameInputsKeepTheirKeys) {
  const std::string text =
      "sluice: 1\ntools:\n  key: {kind: process, stdout: text, effect: idempotent,\n"
      "    command: [sh, -c, 'echo $SLUICE_KEY >> ledger']}\n"
      "params: {n: {type: integer, default: 1}}\n"
      "steps:\n  a: {tool: key, with: {args: [\"{{ params.n }}\"]}}\n";
  auto report = run(text);
  ASSERT_EQ(status(report), "succeeded");
  const std::string id = report->run_id;
  ASSERT_EQ(status(fork(id, "a", text)), "succeeded");
  ASSERT_EQ(status(fork(id, "a", text, Value::object({{"n", Value::integer(2)}}))), "succeeded");
  const auto keys = ledger();
  ASSERT_EQ(keys.size(), 3u);
  EXPECT_EQ(keys[0], keys[1]) << "the same inputs";
  EXPECT_NE(keys[0], keys[2]) << "others";
}

// Writes its key; the process that runs it dies of it once, when there is a file `deadly`.
constexpr const char* kPay =
    "sluice: 1\ntools:\n"
    "  note: {kind: process, stdout: text, effect: once,\n"
    "    command: [sh, -c, 'echo \"$1\" >> ledger; printf %s \"$1\"', sh]}\n"
    "  pay: {kind: process, stdout: text, effect: idempotent, command: [sh, -c,\n"
    "    'echo $SLUICE_KEY >> ledger; if [ -e deadly ]; then rm deadly; kill -9 $PPID; sleep 5;\n"
    "     fi; printf paid']}\n"
    "steps:\n  a: {tool: note, with: {args: [a]}}\n"
    "  pay: {tool: pay, after: [a]}\n"
    "  z: {tool: note, with: {args: [\"{{ steps.pay.output }}\"]}}\n";

TEST_F(Forks, ThatCrashedGoOnUnderTheSameKeys) {
  auto report = run(kPay);
  ASSERT_EQ(status(report), "succeeded");
  ASSERT_EQ(ledger().size(), 3u);
  const std::string key = ledger()[1];
  std::string from = report->run_id;
  for (const char* what : {"a fork", "a fork of a fork"}) {
    std::filesystem::remove(dir.path() / "ledger");
    dir.write("deadly", "");
    const std::string id = in_child([&](Watching& child) {
      RunRequest made = request(kPay);
      made.forked = prepare_fork(journal(), from, "pay", made.plan)->forked;
      run_plan(made, settings(), child);
    });
    EXPECT_THAT(ledger(), ElementsAre(key)) << what;
    auto resumed = resume(id);
    ASSERT_EQ(status(resumed), "succeeded") << what;
    EXPECT_THAT(ledger(), ElementsAre(key, key, "paid")) << what;
    from = id;
  }
}

constexpr const char* kAsking = R"(steps:
  a: {tool: note, with: {args: [a]}}
  w: {wait: {signal: go}, after: [a]}
  c: {tool: note, with: {args: [c]}, after: [w]}
)";

TEST_F(Forks, KnowTheOtherRunAsItWas) {
  watching.on_event = [](const TraceEvent& event) {
    if (event.kind == TraceKind::kWaiting) ::raise(SIGINT);
  };
  const std::string text = plan_with_note("idempotent", kAsking);
  auto report = run(text);
  ASSERT_EQ(status(report), "interrupted");
  const std::string old = report->run_id;
  auto forked = fork(old, "c", text);
  ASSERT_EQ(status(forked), "interrupted");
  EXPECT_THAT(last.waits, ElementsAre("w"));
  EXPECT_EQ(last.forked.reuse->size(), 1u);
  watching.on_event = nullptr;
  ASSERT_TRUE(send_message(journal(), old, SignalMessage{"go", "", Value()}).has_value());
  ASSERT_EQ(status(resume(old)), "succeeded");
  auto header = read_run_header(journal(), forked->run_id);
  auto plan = read_recorded_plan(*header);
  auto again = reuse_of_fork(journal(), *header, *plan->physical);
  ASSERT_TRUE(again.has_value()) << again.error().to_string();
  EXPECT_EQ((*again)->size(), 1u) << "what the other run did later is not its business";

  ASSERT_TRUE(journal().delete_run(old).has_value());
  auto refused = resume(forked->run_id);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().error->code(), ErrorCode::kRunChanged);
  EXPECT_THAT(refused.error().error->message(), HasSubstr(old));
  EXPECT_EQ(journal().find_run(forked->run_id)->owner, "") << "it was given back";
  auto cancelled = resume_run({.run_id = forked->run_id, .cancel = "no use"}, settings(), watching);
  EXPECT_EQ(status(cancelled).substr(0, 9), "cancelled");
}

TEST_F(Forks, WhatMayHappenOnceIsNotRepeatedUnasked) {
  const std::string text =
      "sluice: 1\ntools:\n  pay: {kind: process, stdout: text, effect: once,\n"
      "    command: [sh, -c, 'echo paid >> ledger; kill -9 $PPID; sleep 5']}\n"
      "steps:\n  pay: {tool: pay}\n  other: {value: 1}\n";
  const std::string id = kill_by_tool(text);
  auto prepared = prepare_fork(journal(), id, "other", request(text).plan);
  ASSERT_FALSE(prepared.has_value());
  EXPECT_EQ(prepared.error().code(), ErrorCode::kRunChanged);
  EXPECT_THAT(prepared.error().message(), HasSubstr("pay has called"));
  EXPECT_TRUE(prepare_fork(journal(), id, "pay", request(text).plan).has_value())
      << "a person asked for it";
}

TEST_F(Forks, StreamsRunAgainUnlessTheyMayRunOnlyOnce) {
  for (const char* effect : {"read", "once"}) {
    const std::string text =
        std::string("sluice: 1\ntools:\n  rows: {kind: process, stdout: lines, effect: ") + effect +
        ",\n    command: [sh, -c, 'echo one; echo two']}\n"
        "steps:\n  rows: {tool: rows}\n"
        "  each: {for_each: \"{{ steps.rows.output }}\", value: \"{{ item }}\"}\n"
        "  sum: {value: \"{{ steps.each.output }}\"}\nresult: \"{{ steps.sum.output }}\"\n";
    auto report = run(text);
    ASSERT_EQ(status(report), "succeeded");
    auto prepared = prepare_fork(journal(), report->run_id, "sum", request(text).plan);
    if (effect == std::string("once")) {
      ASSERT_FALSE(prepared.has_value());
      EXPECT_THAT(prepared.error().message(), HasSubstr("rows has called"));
    } else {
      ASSERT_TRUE(prepared.has_value()) << prepared.error().to_string();
      EXPECT_THAT(prepared->again, ElementsAre("rows", "sum"));
    }
  }
}

TEST_F(Forks, WhatWasUndoneIsNoResult) {
  const std::string text =
      "sluice: 1\nundo: true\ntools:\n"
      "  back: {kind: process, stdout: text, effect: idempotent,\n"
      "    command: [sh, -c, 'echo back >> ledger']}\n"
      "  book: {kind: process, stdout: text, effect: once, undo: {tool: back, with: {args: [x]}},\n"
      "    command: [sh, -c, 'echo book >> ledger; printf booked']}\n"
      "  maybe: {kind: process, stdout: text, effect: read,\n"
      "    command: [sh, -c, 'test -e good']}\n"
      "steps:\n  book: {tool: book}\n  maybe: {tool: maybe, after: [book]}\n";
  auto report = run(text);
  ASSERT_EQ(status(report).substr(0, 6), "failed");
  EXPECT_THAT(ledger(), ElementsAre("book", "back"));
  dir.write("good", "");
  ASSERT_EQ(status(fork(report->run_id, "maybe", text)), "succeeded");
  EXPECT_THAT(last.again, ElementsAre("book", "maybe"));
  EXPECT_THAT(ledger(), ElementsAre("book", "back", "book"));
}

TEST_F(Forks, AStepThatIsNotThereIsNamed) {
  const std::string id = old_run();
  auto prepared =
      prepare_fork(journal(), id, "aa", request(plan_with_note("idempotent", kSteps)).plan);
  ASSERT_FALSE(prepared.has_value());
  EXPECT_EQ(prepared.error().code(), ErrorCode::kStepUnknown);
  EXPECT_THAT(prepared.error().message(), HasSubstr("aa"));
}

TEST_F(Forks, OutliveTheRunThatTheyCameFrom) {
  const std::string text =
      "sluice: 1\ntools:\n"
      "  big: {kind: process, stdout: text, effect: idempotent, command: [sh, -c,\n"
      "    'head -c 300000 /dev/zero | tr \"\\\\0\" x']}\n"
      "steps:\n  a: {tool: big}\n  b: {value: \"{{ steps.a.output | length }}\"}\n"
      "result: \"{{ steps.a.output }}\"\n";
  auto report = run(text);
  ASSERT_EQ(status(report), "succeeded");
  auto forked = fork(report->run_id, "b", text);
  ASSERT_EQ(status(forked), "succeeded");
  ASSERT_TRUE(journal().delete_run(report->run_id).has_value());
  auto past = PastRun::read(journal(), forked->run_id);
  ASSERT_TRUE(past.has_value()) << past.error().to_string();
  auto result = (*past)->load((*past)->ended()->result);
  ASSERT_TRUE(result.has_value()) << result.error().to_string();
  EXPECT_EQ(result->size(), 300'000u);
}

}  // namespace
}  // namespace sluice
