// fold_constants: known values where they are read, decided conditions, branches that never run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/optimize/optimizing.h"

namespace sluice {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Optimized folded(std::string_view steps, std::string_view params = "", std::string_view rest = "") {
  return optimize_text(with_tools(steps, rest), {"fold_constants"}, params);
}

TEST(FoldConstants, ParametersAndConstantSteps) {
  Optimized done = folded(
      "  lang: {value: English}\n"
      "  both: {value: '{{ [steps.lang.output, params.n] }}'}\n"
      "  a: {llm: default, with: {prompt: 'In {{ steps.lang.output }}: {{ params.p }}', "
      "max_tokens: '{{ params.n }}'}}\n"
      "  b: {for_each: '{{ steps.both.output }}', value: '{{ item ~ steps.both.output[1] }}'}\n",
      R"({"p": "{{ <|x|> }}"})");
  EXPECT_EQ(done.step("both"), R"(value {{ ["English", 3] }})");
  EXPECT_EQ(done.step("a"),
            R"(llm default {prompt: In {{ "English" }}: {{ "{{ <|x|> }}" }}, max_tokens: )"
            R"({{ params.n }}})");
  EXPECT_EQ(done.step("b"),
            R"(for_each {{ steps.both.output }}; value {{ item ~ ["English", 3][1] }})");
  EXPECT_THAT(done.notes(),
              Contains("fold_constants a: lang, params.p known: written where they are read"));
}

TEST(FoldConstants, NothingIsKnownWithoutParameters) {
  Optimized done = folded("  a: {value: '{{ params.n }}'}\n");
  EXPECT_EQ(done.step("a"), "value {{ params.n }}");
  EXPECT_THAT(done.notes(), IsEmpty());
  EXPECT_EQ(done.plan.rewritten, done.written);
}

TEST(FoldConstants, LargeAndLabelledValuesStay) {
  Optimized done =
      folded("  a: {value: '{{ params.p }}'}\n", "{\"p\": \"" + std::string(5000, 'x') + "\"}");
  EXPECT_EQ(done.step("a"), "value {{ params.p }}");
  ParsedPlan parsed = parse_plan(with_tools("  a: {value: '{{ params.p }}'}\n"), "p");
  auto tools = catalog_of(*parsed.plan);
  Value params = Value::object({{"p", Value::string("hush").with_labels({.secret = true})}});
  CostInputs cost;
  auto made = optimize_plan(
      {.plan = parsed.plan, .tools = *tools, .params = &params, .cost = cost, .settings = {}});
  ASSERT_TRUE(made);
  EXPECT_EQ(step_line(made->rewritten->steps[0]), "value {{ params.p }}");
}

TEST(FoldConstants, StepsThatAreNoConstants) {
  Optimized done = folded(
      "  a: {value: 1, when: '{{ params.p == 1 }}'}\n"
      "  b: {value: 1, for_each: [1]}\n"
      "  c: {value: 1, output: {type: integer}}\n"
      "  d: {value: 1, after: [a]}\n"
      "  e: {value: '{{ run.id }}'}\n"
      "  z: {value: ['{{ steps.a.output }}', '{{ steps.b.output }}', '{{ steps.c.output }}', '{{ "
      "steps.d.output }}', '{{ steps.e.output }}'], join: {a: {skipped: skip}}}\n");
  EXPECT_EQ(done.plan.rewritten, done.written) << done.text();
}

TEST(FoldConstants, Conditions) {
  Optimized done = folded(
      "  x: {tool: calc}\n"
      "  a: {when: '{{ params.n == 3 }}', tool: calc}\n"
      "  b: {when: '{{ params.n == 3 and steps.x.output.ok and params.n > 1 }}', tool: calc}\n"
      "  c: {when: '{{ steps.x.output.ok and params.n > 5 }}', tool: calc}\n"
      "  d: {when: '{{ params.n > 5 or steps.x.output.ok == true }}', tool: calc}\n",
      "{}");
  EXPECT_EQ(done.step("a"), "tool calc");
  EXPECT_EQ(done.step("b"), "when {{ steps.x.output.ok and true }}; tool calc");
  EXPECT_EQ(done.step("c"), "when {{ false }}; tool calc");
  EXPECT_EQ(done.step("d"), "when {{ 3 > 5 or steps.x.output.ok == true }}; tool calc");
  EXPECT_THAT(done.notes(), Contains("fold_constants a: its `when` is always true: not asked"));
  EXPECT_THAT(done.notes(),
              Contains("fold_constants c: its `when` is always false: it can only be skipped"));
}

TEST(FoldConstants, WhatOnlySkippedStepsReadIsFreed) {
  Optimized done = folded(
      "  facts: {tool: calc}\n"
      "  long: {when: '{{ params.n > 5 }}', llm: default, with: {prompt: '{{ steps.facts.output "
      "}}'}}\n"
      "  more: {for_each: '{{ steps.facts.output }}', llm: default, with: {prompt: '{{ "
      "steps.long.output }} {{ item }}'}, join: {long: {skipped: skip}}}\n"
      "  end: {value: '{{ steps.long.status }}'}\n"
      "result: '{{ steps.more.output }}'\n",
      "{}");
  EXPECT_EQ(done.step("long"), "when {{ false }}; value null");
  EXPECT_EQ(done.step("more"), "for_each {{ steps.facts.output }}; when {{ false }}; value null");
  EXPECT_EQ(done.step("end"), "value {{ steps.long.status }}");
  EXPECT_TRUE(done.physical("long").edges.empty());
  // The step that was written keeps its meaning, though nothing of it is done.
  Optimized off = optimize_text(with_tools("  a: {value: 1}\n"), {"none"});
  EXPECT_TRUE(off.error.empty());
}

TEST(FoldConstants, SkippedStepsThatAreReadKeepTheirForm) {
  Optimized done = folded(
      "  facts: {tool: calc}\n"
      "  long: {when: '{{ params.n > 5 }}', tool: calc, with: {args: ['{{ steps.facts.output "
      "}}']}}\n"
      "  pick: {value: '{{ steps.long.output.text }}', join: {long: {skipped: {value: {text: "
      "x}}}}}\n"
      "  paid: {tool: pay, when: false, with: {args: ['{{ steps.facts.output }}']}}\n",
      "{}");
  EXPECT_EQ(done.step("long"), "when {{ false }}; tool calc {args: [{{ steps.facts.output }}]}");
  EXPECT_EQ(done.step("paid"), "when false; tool pay {args: [{{ steps.facts.output }}]}");
}

TEST(FoldConstants, TakenBackWhereAValueDoesNotFit) {
  // As written the run would fail, and only where it comes to that.
  Optimized done = folded("  a: {when: '{{ params.p | length > 2 }}', value: 1}\n", R"({"p": 5})");
  EXPECT_EQ(done.step("a"), "when {{ params.p | length > 2 }}; value 1");
  EXPECT_THAT(done.notes(), ElementsAre(HasSubstr("fold_constants refused: left as written")));
  EXPECT_EQ(done.plan.rewritten, done.written);
}

TEST(FoldConstants, InsideOfSubPlansConstantsOnly) {
  Optimized done = folded(
      "  ask: {plan: sub, with: {n: '{{ params.n }}'}}\n", "{}",
      "plans:\n"
      "  sub: {params: {n: {}}, steps: {k: {value: 2}, s: {value: '{{ params.n + steps.k.output "
      "}}'}}, result: '{{ steps.s.output }}'}\n");
  EXPECT_EQ(done.step("ask"), "plan sub {n: {{ 3 }}}");
  EXPECT_EQ(done.step("s", "sub"), "value {{ params.n + 2 }}");
}

}  // namespace
}  // namespace sluice
