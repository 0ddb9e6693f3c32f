// What a fork asks of a run whose journal no longer tells all: it was compacted, or is looked at
// only up to some record; and of calls that were taken back, or never came to an end.
#include <gtest/gtest.h>

#include <algorithm>

#include "data/json.h"
#include "plan/lower.h"
#include "runtime/inbox.h"
#include "runtime/replay.h"
#include "tests/runtime/scripted_host.h"

namespace sluice::testing {
namespace {

std::string plan_text(const std::string& effect) {
  return "sluice: 1\n"
         "params: {n: {type: integer, default: 1}}\n"
         "tools:\n"
         "  put: {kind: process, command: [put], effect: " +
         effect +
         "}\n"
         "  look: {kind: process, command: [look], effect: read}\n"
         "steps:\n"
         "  a: {tool: put, with: {args: [\"{{ params.n }}\"]}}\n"
         "  b: {tool: look, with: {args: [\"{{ steps.a.output }}\"]}}\n"
         "  c: {tool: look, with: {args: [\"{{ steps.b.output }}\"]}}\n";
}

std::unique_ptr<RunRig> finished_run(const std::string& text, std::uint64_t compact_after) {
  auto rig = std::make_unique<RunRig>(plan_of(text));
  rig->compact_after = compact_after;
  rig->host.answer = [](const StartCall& start) { return returned(Value::string(start.task_id)); };
  rig->start(Value::object({{"n", Value::integer(7)}}));
  rig->run();
  EXPECT_TRUE(rig->outcome && rig->outcome->status == RunStatus::kSucceeded);
  return rig;
}

Result<ReuseReport> ask(RunRig& rig, const ForkPoint& point) {
  auto no_plans = [](const AdmitPlan&, const Value&) -> Result<PhysicalPlanPtr> {
    return fail(ErrorCode::kInternal, "no plan is produced");
  };
  return build_reuse_table(*rig.journal, RunRig::kRun, rig.plan, rig.values, no_plans, point);
}

TEST(Reuse, OfACompactedRunHasItsParametersAndRepeatsWhatItDoesNotKnow) {
  auto rig = finished_run(plan_text("read"), 1);
  auto report = ask(*rig, {.again = {"c"}});
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_GT(report->first, 1u) << "it was compacted";
  EXPECT_EQ(to_json(report->params), R"({"n":7})");
  EXPECT_FALSE(report->taken.contains("a"));
  EXPECT_TRUE(report->repeated.contains("a")) << "people are told that it runs again";
}

TEST(Reuse, OfACompactedRunIsRefusedWhereOnceCallsAreNotKnown) {
  auto rig = finished_run(plan_text("once"), 1);
  auto report = ask(*rig, {.again = {"c"}});
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code(), ErrorCode::kRunChanged);
  EXPECT_NE(report.error().message().find("compacted"), std::string::npos);
  EXPECT_TRUE(ask(*rig, {.again = {"a", "b", "c"}})) << "all of it was asked for";
  auto whole = finished_run(plan_text("once"), 0);
  EXPECT_TRUE(ask(*whole, {.again = {"c"}}));
}

TEST(Reuse, LooksNoFurtherThanItIsTold) {
  auto rig = finished_run(plan_text("idempotent"), 0);
  auto all = ask(*rig, {});
  ASSERT_TRUE(all);
  EXPECT_EQ(all->reusable, 3u);
  for (JournalSeq upto = 1; upto <= all->last; ++upto) {
    auto part = ask(*rig, {.upto = upto});
    ASSERT_TRUE(part) << part.error().to_string();
    EXPECT_EQ(part->last, upto);
    EXPECT_EQ(part->reusable, std::min<std::uint64_t>(upto - 1, 3));
    EXPECT_EQ(to_json(part->params), R"({"n":7})");
  }
}

TEST(Reuse, KeysAreThoseThatWereSent) {
  auto rig = finished_run(plan_text("idempotent"), 0);
  auto own = ask(*rig, {});
  ASSERT_TRUE(own);
  const PhysicalStep& step = rig->plan->steps[0];
  const Hash256 key =
      result_key(step, Value::object({{"args", Value::array({Value::integer(7)})}}));
  ASSERT_NE(own->table->find("a", key), nullptr);
  ReuseTable older;
  older.add("a", {.result_key = key, .idempotency_key = "of the first run"});
  auto report = ask(*rig, {.taken_over = &older});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->table->find("a", key)->idempotency_key, "of the first run");
}

// A run that fails and whose undoing fails; what undoes has the effect `undo`.
std::unique_ptr<RunRig> run_not_undone(const std::string& undo) {
  auto rig = std::make_unique<RunRig>(
      plan_of("sluice: 1\n"
              "undo: true\n"
              "tools:\n"
              "  pay: {kind: process, command: [pay], effect: once, undo: {tool: back}}\n"
              "  back: {kind: process, command: [back], effect: " +
              undo +
              "}\n"
              "  bad: {kind: process, command: [bad], effect: read}\n"
              "steps:\n"
              "  a: {tool: pay, with: {args: [\"1\"]}}\n"
              "  c: {after: [a], tool: bad, with: {}}\n"));
  rig->host.answer = [](const StartCall& start) {
    const bool fails = start.undo || start.task_id == "c";
    return fails ? failed(ErrorCode::kTimeout) : returned(Value::string("paid"));
  };
  rig->host.effect = [undo](const StartCall& start) {
    if (start.undo && undo == "idempotent") return Effect::kIdempotent;
    return start.step->effect;
  };
  rig->start();
  rig->run();
  EXPECT_TRUE(rig->outcome && rig->outcome->status == RunStatus::kFailed);
  return rig;
}

const ReuseTable::Entry* entry_of_a(const RunRig& rig, const ReuseReport& report,
                                    const Value& argument) {
  const Value args = Value::object({{"args", Value::array({argument})}});
  return report.table->find("a", result_key(rig.plan->steps[0], args));
}

// Undone under that key once more, the tool would say that it has done so already.
TEST(Reuse, WhatMayHaveBeenUndoneHasNeitherResultNorKey) {
  auto rig = run_not_undone("idempotent");
  auto again = ask(*rig, {.again = {"a", "c"}});
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(entry_of_a(*rig, *again, Value::string("1")), nullptr);
  auto refused = ask(*rig, {.again = {"c"}});
  ASSERT_FALSE(refused) << "nobody knows whether it is paid";
  EXPECT_EQ(refused.error().code(), ErrorCode::kRunChanged);
}

TEST(Reuse, WhatIsKnownNotToBeUndoneIsTakenOver) {
  auto rig = run_not_undone("once");
  auto report = ask(*rig, {.again = {"c"}});
  ASSERT_TRUE(report) << report.error().to_string();
  const auto* entry = entry_of_a(*rig, *report, Value::string("1"));
  ASSERT_NE(entry, nullptr);
  EXPECT_TRUE(entry->returned);
}

// A person said that it did not happen, and the budget let nobody make it again.
TEST(Reuse, ACallThatWasToBeMadeAgainHasItsKey) {
  RunRig rig(
      plan_of("sluice: 1\n"
              "budget: {calls: 1}\n"
              "tools:\n"
              "  pay: {kind: process, command: [pay], effect: once}\n"
              "steps:\n"
              "  a: {tool: pay, with: {args: [\"1\"]}}\n"));
  std::string key;
  rig.host.answer = [&](const StartCall& start) {
    key = start.idempotency_key;
    return failed(ErrorCode::kTimeout, true);
  };
  rig.start();
  rig.run();
  ASSERT_TRUE(rig.outcome && rig.outcome->status == RunStatus::kInDoubt);
  rig.kill();
  ASSERT_TRUE(rig.resume());
  const ResolveMessage retry{.task = "a", .verdict = ResolveMessage::Verdict::kRetry};
  const auto [kind, body] = encode_message(retry);
  rig.loop->take({1, kind, body, 0});
  rig.run();
  ASSERT_TRUE(rig.outcome && rig.outcome->status == RunStatus::kBudgetSpent);
  auto report = ask(rig, {.again = {"a"}});
  ASSERT_TRUE(report) << report.error().to_string();
  const auto* entry = entry_of_a(rig, *report, Value::string("1"));
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry->idempotency_key, key);
}

// Finds nothing while the disk fails.
class FailingValues final : public ValueStore {
 public:
  Value keep(Value value, std::string*) override { return value; }
  Result<Value> load(const Value& value) override {
    if (fails(value)) return fail(ErrorCode::kIo, "the disk failed");
    return value;
  }
  std::function<bool(const Value&)> fails = [](const Value&) { return false; };
};

TEST(Reuse, WhatCannotBeReadIsNotTakenForUnknown) {
  auto rig = finished_run(plan_text("idempotent"), 0);
  FailingValues values;
  values.fails = [](const Value& value) { return value.find("args") != nullptr; };
  auto no_plans = [](const AdmitPlan&, const Value&) -> Result<PhysicalPlanPtr> {
    return fail(ErrorCode::kInternal, "no plan is produced");
  };
  auto report =
      build_reuse_table(*rig->journal, RunRig::kRun, rig->plan, values, no_plans, ForkPoint{});
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code(), ErrorCode::kIo);
}

TEST(Reuse, WhatCannotBeReadNowIsNotDoneAgain) {
  auto old = finished_run(plan_text("once"), 0);
  auto report = ask(*old, {.again = {"c"}});
  ASSERT_TRUE(report);
  for (const char* what : {"arguments", "output"}) {
    SCOPED_TRACE(what);
    RunRig fork(old->plan);
    auto values = std::make_unique<FailingValues>();
    values->fails = [&](const Value& value) {
      return std::string_view(what) == "output" ? value == Value::string("a")
                                                : value.find("args") != nullptr;
    };
    fork.spilling = std::move(values);
    fork.reuse = report->table;
    fork.host.answer = [](const StartCall&) { return returned(Value::string("again")); };
    fork.start(Value::object({{"n", Value::integer(7)}}));
    fork.run();
    ASSERT_TRUE(fork.outcome);
    EXPECT_EQ(fork.outcome->status, RunStatus::kInterrupted);
    EXPECT_TRUE(fork.host.performed.empty()) << "paid twice";
  }
}

}  // namespace
}  // namespace sluice::testing
