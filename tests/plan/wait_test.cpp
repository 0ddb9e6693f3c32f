// The operator wait and undo: true, from text to the physical plan and back to text.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/json.h"
#include "plan/binding_text.h"
#include "plan/lower.h"
#include "plan/parse.h"
#include "plan/references.h"
#include "tests/plan/lowering.h"

namespace sluice {
namespace {

constexpr std::string_view kPlan = R"(sluice: 1
undo: true
tools:
  pay: {kind: process, command: pay, undo: {tool: refund}}
  refund: {kind: process, command: refund, functions: {run: {effect: idempotent}}}
  web: {kind: mcp, command: web, undo: {tool: refund}}
steps:
  first: {value: [1, 2]}
  pause: {wait: {for: 10m}}
  asked:
    for_each: "{{ steps.first.output }}"
    after: [pause]
    concurrency: 3
    on_error: skip
    wait: {signal: approved, until: "{{ run.id }}", of: "case {{ item }}", ask: Really?, value: no}
    output: {type: string}
  paid: {tool: pay, after: [asked]}
  back: {tool: refund, after: [paid]}
  far: {tool: web.anything, after: [back]}
  offers: {llm: default, with: {prompt: x, tools: [refund, pay]}}
  none: {llm: default, with: {prompt: x, tools: [refund]}}
result: "{{ steps.asked.output }}"
)";

const PhysicalStep& step(const PhysicalPlan& plan, std::string_view id) {
  for (const PhysicalStep& each : plan.steps) {
    if (each.logical.id == id) return each;
  }
  throw std::runtime_error("no step");
}

TEST(Wait, IsRead) {
  PlanPtr plan = parsed(kPlan);
  const Step& asked = *plan->find_step("asked");
  EXPECT_EQ(asked.op, OperatorKind::kWait);
  EXPECT_EQ(operator_name(asked.op), "wait");
  EXPECT_EQ(to_json(binding_text(asked.wait)),
            R"({"signal":"approved","until":{"$expr":"{{ run.id }}"},)"
            R"("of":{"$expr":"case {{ item }}"},"ask":"Really?","value":"no"})");
  EXPECT_EQ(&body_of(asked), &asked.wait);
  EXPECT_EQ(asked.op_pos.line, 15U);
  EXPECT_TRUE(plan->undo);
  EXPECT_EQ(plan->undo_pos.line, 2U);
}

TEST(Wait, IsLowered) {
  PhysicalPlanPtr plan = lowered(parsed(kPlan));
  ASSERT_TRUE(plan);
  const PhysicalStep& asked = step(*plan, "asked");
  EXPECT_EQ(asked.effect, Effect::kRead);
  EXPECT_EQ(asked.resource, "");
  EXPECT_EQ(asked.resource_limit, 0U);
  EXPECT_FALSE(asked.batch_safe);
  EXPECT_FALSE(asked.streams);
  EXPECT_TRUE(asked.mapped);
  EXPECT_EQ(asked.logical.concurrency, 3U);
  EXPECT_EQ(to_json(binding_text(asked.body.binding)), to_json(binding_text(asked.logical.wait)));
  ASSERT_EQ(asked.inputs.size(), 3U);
  EXPECT_EQ(asked.inputs[0].source, InputSource::kEdge);  // of for_each
  EXPECT_EQ(asked.inputs[1].source, InputSource::kRunId);
  EXPECT_EQ(asked.inputs[2].source, InputSource::kItem);
}

TEST(Wait, ReadsStepsLikeAnyOther) {
  PhysicalPlanPtr plan =
      lowered(parsed("sluice: 1\nsteps:\n  late: {wait: {for: '{{ steps.time.output }}', value: "
                     "'{{ steps.v.output "
                     "}}'}}\n  time: {value: 5s}\n  v: {value: 1}\n"));
  ASSERT_TRUE(plan);
  ASSERT_EQ(step(*plan, "late").edges.size(), 2U);
  EXPECT_EQ(plan->steps[step(*plan, "late").edges[0].from].logical.id, "time");
}

TEST(Wait, ItsHashIsOfWhatItWaitsFor) {
  auto hash = [](std::string_view wait) {
    return lowered(parsed("sluice: 1\nsteps: {a: {wait: " + std::string(wait) + "}}\n"))
        ->steps[0]
        .step_hash;
  };
  EXPECT_EQ(hash("{for: 10m}"), hash("{ for: '10m' }"));
  EXPECT_NE(hash("{for: 10m}"), hash("{for: 11m}"));
  EXPECT_NE(hash("{signal: a}"), hash("{signal: b}"));
}

TEST(Undo, KnowsWhatCanBeUndone) {
  PhysicalPlanPtr plan = lowered(parsed(kPlan));
  ASSERT_TRUE(plan);
  EXPECT_TRUE(plan->undo);
  EXPECT_TRUE(step(*plan, "paid").has_undo);
  EXPECT_FALSE(step(*plan, "back").has_undo);
  EXPECT_TRUE(step(*plan, "far").has_undo);  // nobody has asked its server yet
  EXPECT_TRUE(step(*plan, "offers").has_undo);
  EXPECT_FALSE(step(*plan, "none").has_undo);
  EXPECT_FALSE(step(*plan, "pause").has_undo);
}

TEST(Wait, IsPrintedAndReadAgain) {
  PlanPtr plan = parsed(kPlan);
  for (const std::string& text : {print_plan_yaml(*plan), print_plan_json(*plan)}) {
    PlanPtr again = parsed(text);
    ASSERT_TRUE(again) << text;
    EXPECT_EQ(print_plan_yaml(*again), print_plan_yaml(*plan));
    EXPECT_EQ(step(*lowered(again), "asked").step_hash, step(*lowered(plan), "asked").step_hash);
  }
  EXPECT_LT(print_plan_yaml(*plan).find("undo:"), print_plan_yaml(*plan).find("steps:"));
}

}  // namespace
}  // namespace sluice
