// The summary tells steps apart by the meaning of their plan, not by where it lies in memory.
#include "runtime/summary.h"

#include <gtest/gtest.h>

#include <string>

#include "plan/lower.h"
#include "plan/parse.h"
#include "plan/tool_catalog.h"

namespace sluice {
namespace {

PhysicalPlan plan_of(const std::string& text) {
  ParsedPlan parsed = parse_plan(text, "test.yaml");
  EXPECT_TRUE(parsed.plan && !parsed.diagnostics.has_errors());
  return **lower_plan(parsed.plan, *catalog_of(*parsed.plan));
}

void tell_done(SummaryFold& fold, const PhysicalPlan& plan, std::uint64_t frame,
               std::uint32_t step) {
  TraceEvent event;
  event.kind = TraceKind::kTaskDone;
  event.call.task = {frame, step, 0};
  event.set_step(plan, step);
  fold.on_trace(event);
}

constexpr const char* kOne = "sluice: 1\nsteps:\n  a: {value: 1}\n  b: {value: 2}\n";
constexpr const char* kOther = "sluice: 1\nsteps:\n  c: {value: 3}\n  d: {value: 4}\n";

TEST(Summary, AnotherPlanInTheSamePlaceHasRowsOfItsOwn) {
  SummaryFold fold;
  PhysicalPlan plan = plan_of(kOne);
  const PhysicalStep* place = plan.steps.data();
  tell_done(fold, plan, 1, 0);
  tell_done(fold, plan, 1, 1);
  const PhysicalPlan other = plan_of(kOther);
  plan = other;  // as when the first has gone and the next is put where it lay
  ASSERT_EQ(plan.steps.data(), place);
  tell_done(fold, plan, 2, 1);
  tell_done(fold, plan, 2, 0);
  const std::vector<StepSummary>& rows = fold.summary().steps;
  ASSERT_EQ(rows.size(), 4U);
  const char* ids[] = {"a", "b", "c", "d"};
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i].id, ids[i]);
    EXPECT_EQ(rows[i].done, 1U);
  }
}

TEST(Summary, EqualPlansShareTheirRowsWhereverTheyLie) {
  SummaryFold fold;
  const PhysicalPlan first = plan_of(kOne);
  const PhysicalPlan second = plan_of(kOne);
  ASSERT_NE(first.steps.data(), second.steps.data());
  tell_done(fold, first, 1, 0);
  tell_done(fold, second, 2, 0);
  ASSERT_EQ(fold.summary().steps.size(), 1U);
  EXPECT_EQ(fold.summary().steps[0].done, 2U);
}

TEST(Summary, ARestoredRowIsTakenUpByThePlanThatComesAgain) {
  SummaryFold before;
  const PhysicalPlan plan = plan_of(kOne);
  const PhysicalPlan other = plan_of(kOther);
  tell_done(before, plan, 1, 0);
  tell_done(before, other, 2, 0);
  SummaryFold after;
  after.restored(before.save());
  tell_done(after, other, 3, 0);
  tell_done(after, plan, 1, 1);
  tell_done(after, plan, 1, 0);
  const std::vector<StepSummary>& rows = after.summary().steps;
  std::string told;
  for (const StepSummary& row : rows) told += row.id + std::to_string(row.done) + " ";
  EXPECT_EQ(told, "a2 b1 c2 ");
}

TEST(Summary, SaysWhatEarlierRunsAnswered) {
  using From = CallReturned::From;
  SummaryFold fold;
  const PhysicalPlan plan = plan_of(kOne);
  for (const From from : {From::kCall, From::kEqual, From::kEarlierRun, From::kHedged}) {
    TraceEvent event;
    event.kind = TraceKind::kCallEnded;
    event.set_step(plan, 0);
    event.from = from;
    event.cached = from == From::kEqual || from == From::kEarlierRun;
    fold.on_trace(event);
  }
  SummaryFold restored;
  restored.restored(fold.save());
  for (const SummaryFold* each : {&fold, &restored}) {
    const StepSummary& row = each->summary().steps.at(0);
    EXPECT_EQ(row.cached, 2U);
    EXPECT_EQ(row.earlier, 1U);
    EXPECT_EQ(row.hedged, 1U);
  }
}

TEST(Summary, ItemsOfAStreamAreKnownOnce) {
  SummaryFold fold;
  const PhysicalPlan plan = plan_of(kOne);
  TraceEvent event;
  event.set_step(plan, 0);
  event.call.task = {1, 0, kNoIndex};
  event.kind = TraceKind::kItemEmitted;
  for (int i = 0; i < 3; ++i) fold.on_trace(event);
  EXPECT_EQ(fold.summary().steps[0].known, 3U);
  event.kind = TraceKind::kItemsKnown;
  event.count = 3;
  event.closed = true;
  fold.on_trace(event);
  EXPECT_EQ(fold.summary().steps[0].known, 3U);
  EXPECT_EQ(fold.summary().steps[0].done, 3U);
  EXPECT_TRUE(fold.summary().steps[0].closed);
}

}  // namespace
}  // namespace sluice
