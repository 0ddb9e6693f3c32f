// What a run tells of steps whose plan got another form.
#include "host/runs/replans.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "plan/lower.h"
#include "plan/parse.h"
#include "plan/tool_catalog.h"

namespace sluice {
namespace {

PhysicalPlanPtr lowered(const std::string& steps) {
  const std::string text =
      "sluice: 1\nparams: {p: {}}\n"
      "tools: {ask: {kind: process, command: [ask], effect: pure}}\n"
      "plans:\n"
      "  row:\n"
      "    tools: {ask: {kind: process, command: [ask], effect: pure}}\n"
      "    steps:\n" +
      steps +
      "steps:\n"
      "  row: {for_each: \"{{ params.p }}\", plan: row, with: {}}\n";
  const ParsedPlan parsed = parse_plan(text, "p.yaml");
  if (!parsed.plan || parsed.diagnostics.has_errors()) throw std::runtime_error(text);
  auto plan = lower_plan(parsed.plan, *catalog_of(*parsed.plan));
  if (!plan) throw std::runtime_error(plan.error().to_string());
  return *plan;
}

PhysicalPlanPtr first_then_second() {
  return lowered(
      "      first: {tool: ask}\n"
      "      second: {tool: ask, when: \"{{ steps.first.output == 'y' }}\"}\n");
}
PhysicalPlanPtr second_then_first() {
  return lowered(
      "      second: {tool: ask}\n"
      "      first: {tool: ask, when: \"{{ steps.second.output == 'y' }}\"}\n");
}

TEST(OrderOfWork, IsThatOfCalls) {
  auto order = [](const std::string& steps) {
    return order_of_work(*lowered(steps)->steps.front().plan);
  };
  EXPECT_EQ(order_of_work(*first_then_second()->steps.front().plan), "first -> second");
  EXPECT_EQ(order_of_work(*second_then_first()->steps.front().plan), "second -> first");
  EXPECT_EQ(order("      a: {tool: ask}\n"
                  "      b: {tool: ask}\n"
                  "      v: {value: \"{{ steps.a.output }}\"}\n"
                  "      c: {tool: ask, with: {args: [\"{{ steps.v.output }}\"]}}\n"),
            "a, b -> c")
      << "values are not asked for";
  EXPECT_EQ(order("      a: {value: 1}\n      b: {value: \"{{ steps.a.output }}\"}\n"), "a -> b");
  EXPECT_EQ(order("      {}\n"), "");
  std::string many;
  for (int i = 0; i < 20; ++i) many += "      s" + std::to_string(10 + i) + ": {tool: ask}\n";
  EXPECT_TRUE(order(many).ends_with("s21, ...")) << order(many);
}

TEST(Replans, AreKeptWithWhatTheyChange) {
  const PhysicalPlanPtr plan = first_then_second();
  const PhysicalPlanPtr form = second_then_first()->steps.front().plan;
  const Value why = Value::string("because");
  auto event = [&](const PhysicalPlanPtr& to, std::uint64_t from, SteadyNs at) {
    TraceEvent made;
    made.kind = TraceKind::kReplanned;
    made.at = at;
    made.call.task = {0, 0, kNoIndex};
    made.set_step(*plan, 0);
    made.count = from;
    made.replanned = to.get();
    made.value = &why;
    return made;
  };
  ReplanFold fold;
  fold.on_trace(event(form, 16, 5));
  fold.on_trace(event(plan->steps.front().plan, 40, 9));
  ASSERT_EQ(fold.replans().size(), 2U);
  EXPECT_EQ(fold.replans()[0].step, "row");
  EXPECT_EQ(fold.replans()[0].from_item, 16U);
  EXPECT_EQ(fold.replans()[0].at, 5);
  EXPECT_EQ(fold.replans()[0].why, "because");
  EXPECT_EQ(fold.replans()[0].before, "first -> second");
  EXPECT_EQ(fold.replans()[0].after, "second -> first");
  EXPECT_EQ(fold.replans()[1].before, "second -> first");
  EXPECT_EQ(fold.replans()[1].after, "first -> second");
  // A snapshot tells of all forms again, at the time of whoever reads it.
  fold.restored("");
  EXPECT_TRUE(fold.replans().empty());
  fold.on_trace(event(form, 16, 100));
  TraceEvent other;
  fold.on_trace(other);
  fold.on_trace(event(plan->steps.front().plan, 40, 120));
  ASSERT_EQ(fold.replans().size(), 2U);
  EXPECT_FALSE(fold.replans()[0].at);
  EXPECT_EQ(fold.replans()[1].at, 120);
}

}  // namespace
}  // namespace sluice
