// What a fork asks of a run whose journal no longer tells all: it was compacted, or is looked at
// only up to some record.
#include <gtest/gtest.h>

#include <algorithm>

#include "data/json.h"
#include "plan/lower.h"
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

}  // namespace
}  // namespace sluice::testing
