#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/optimize/optimizing.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// `sub`: what stands in the sub-plan, indented by four.
Optimized inlined(std::string_view sub, std::string_view steps,
                  const std::vector<std::string>& passes = {"inline_plans"}) {
  return optimize_text(with_tools(steps, "plans:\n  sub:\n" + std::string(sub)), passes);
}

constexpr std::string_view kTwoSteps =
    "    params: {x: {}}\n"
    "    steps:\n"
    "      a: {tool: calc, with: {args: ['{{ params.x }}']}}\n"
    "      b: {tool: calc, with: {args: ['{{ steps.a.output }}']}}\n"
    "    result: {b: '{{ steps.b.output }}'}\n";

TEST(InlinePlans, StepsAreDoneInThePlanAround) {
  auto done = inlined(kTwoSteps,
                      "  n: {tool: calc}\n"
                      "  s: {plan: sub, with: {x: '{{ steps.n.output }}'}}\n"
                      "result: '{{ steps.s.output.b }}'\n");
  EXPECT_EQ(done.step("s_a"), "tool calc {args: [{{ steps.n.output }}]}");
  EXPECT_EQ(done.step("s_b"), "tool calc {args: [{{ steps.s_a.output }}]}");
  EXPECT_EQ(done.step("s"), "value {b: {{ steps.s_b.output }}}");
  EXPECT_THAT(done.notes(), ElementsAre("inline_plans s: its steps are done here: s_a, s_b"));
}

TEST(InlinePlans, TasksKeepTheirNamesAndStepsTheirHashes) {
  const std::string steps =
      "  s: {plan: sub, with: {x: 1}}\n"
      "  m: {for_each: [1, 2], plan: sub, with: {x: '{{ item }}'}}\n";
  auto written = inlined(kTwoSteps, steps, {"none"});
  auto done = inlined(kTwoSteps, steps);
  EXPECT_THAT(done.physical("s_a").logical_ids, ElementsAre("s/a"));
  EXPECT_THAT(done.physical("m_b").logical_ids, ElementsAre("m[]/b"));
  EXPECT_EQ(done.physical("s_a").step_hash, written.physical("s/a").step_hash);
  EXPECT_EQ(done.physical("m_b").step_hash, written.physical("m/b").step_hash);
  EXPECT_EQ(done.physical("m").step_hash, written.physical("m").step_hash);
}

TEST(InlinePlans, PlansInsideOfPlansToo) {
  const std::string_view text =
      "    params: {x: {}}\n"
      "    plans:\n"
      "      inner:\n"
      "        params: {y: {}}\n"
      "        steps: {z: {tool: calc, with: {args: ['{{ params.y }}']}}}\n"
      "        result: '{{ steps.z.output }}'\n"
      "    steps: {in: {plan: inner, with: {y: '{{ params.x }}'}}}\n"
      "    result: '{{ steps.in.output }}'\n";
  const std::string steps = "  s: {for_each: [1, 2], plan: sub, with: {x: '{{ item }}'}}\n";
  auto done = inlined(text, steps);
  EXPECT_THAT(done.ids(), ElementsAre("s", "s_in", "s_in_z"));
  EXPECT_EQ(done.step("s_in_z"), "for_each [1, 2]; tool calc {args: [{{ item }}]}");
  EXPECT_THAT(done.physical("s_in_z").logical_ids, ElementsAre("s[]/in/z"));
  EXPECT_EQ(done.physical("s_in_z").step_hash,
            inlined(text, steps, {"none"}).physical("s/in/z").step_hash);
}

TEST(InlinePlans, ItemByItemTheStepsReadSlots) {
  auto done = inlined(kTwoSteps, "  s: {for_each: [1, 2], plan: sub, with: {x: '{{ item }}'}}\n");
  EXPECT_EQ(done.step("s_b"), "for_each [1, 2]; tool calc {args: [{{ steps.s_a.output[index] }}]}");
  EXPECT_EQ(done.step("s"), "for_each [1, 2]; value {b: {{ steps.s_b.output[index] }}}");
}

TEST(InlinePlans, WhatIsMoreThanANameIsAValueOfItsOwn) {
  auto done = inlined(kTwoSteps, "  s: {plan: sub, with: {x: '{{ params.n + 1 }}'}}\n");
  EXPECT_EQ(done.step("s_with_x"), "value {{ params.n + 1 }}");
  EXPECT_EQ(done.step("s_a"), "tool calc {args: [{{ steps.s_with_x.output }}]}");
}

TEST(InlinePlans, ADefaultIsWrittenOut) {
  auto done = inlined(
      "    params: {x: {type: integer, default: 7}}\n"
      "    steps: {a: {tool: calc, with: {args: ['{{ params.x }}']}}}\n"
      "    result: '{{ steps.a.output }}'\n",
      "  s: {plan: sub}\n");
  EXPECT_EQ(done.step("s_a"), "tool calc {args: [{{ 7 }}]}");
}

TEST(InlinePlans, TheCallFailsWithWhatItsResultMayNotComeToRead) {
  auto done = inlined(
      "    steps: {a: {tool: calc}, b: {when: '{{ run.id > \"5\" }}', value: '{{ steps.a.output "
      "}}'}}\n"
      "    result: '{{ steps.b.output }}'\n",
      "  s: {plan: sub}\n");
  EXPECT_EQ(done.step("s"), "value {{ steps.s_b.output }}; join s_b skipped null; after s_a");
}

TEST(InlinePlans, WhatItsResultDoesNotHangOnIsNotDone) {
  auto done = inlined(
      "    steps: {a: {tool: calc}, b: {value: 2}}\n"
      "    result: '{{ steps.b.output }}'\n",
      "  s: {plan: sub}\n");
  EXPECT_THAT(done.ids(), ElementsAre("s", "s_b"));
}

TEST(InlinePlans, WhatIsSkippedInsideReadsAsNull) {
  auto done = inlined(
      "    params: {x: {}}\n"
      "    steps: {a: {tool: calc, when: '{{ params.x == 1 }}'}}\n"
      "    result: '{{ steps.a.output }}'\n",
      "  s: {plan: sub, with: {x: 2}}\n");
  EXPECT_EQ(done.step("s"), "value {{ steps.s_a.output }}; join s_a skipped null");
}

TEST(InlinePlans, AListIsOneValueForAParameterThatIsGoneOver) {
  auto done = inlined(
      "    params: {x: {}}\n"
      "    steps: {a: {for_each: '{{ params.x }}', tool: calc, with: {args: ['{{ item }}']}}}\n"
      "    result: '{{ steps.a.output }}'\n",
      "  m: {for_each: [1, 2], tool: calc}\n"
      "  s: {plan: sub, with: {x: '{{ steps.m.output }}'}}\n");
  EXPECT_EQ(done.step("s_a"),
            "for_each {{ steps.s_with_x.output }}; tool calc {args: [{{ item }}]}");
}

TEST(InlinePlans, AnIdThatIsTakenIsNotTakenTwice) {
  auto done = inlined(kTwoSteps, "  s_a: {value: 1}\n  s: {plan: sub, with: {x: 1}}\n");
  EXPECT_EQ(done.step("s_a"), "value 1");
  EXPECT_EQ(done.step("s_a_2"), "tool calc {args: [{{ 1 }}]}");
}

TEST(InlinePlans, EqualStepsOfBothPlansBecomeOne) {
  auto done = inlined(kTwoSteps,
                      "  own: {tool: calc, with: {args: ['{{ params.p }}']}}\n"
                      "  s: {plan: sub, with: {x: '{{ params.p }}'}}\n"
                      "result: ['{{ steps.own.output }}', '{{ steps.s.output }}']\n",
                      {"inline_plans", "merge_equal_steps"});
  EXPECT_EQ(done.step("s_a"), "gone");
  EXPECT_EQ(done.step("s_b"), "tool calc {args: [{{ steps.own.output }}]}");
  EXPECT_THAT(done.physical("own").logical_ids, ElementsAre("own", "s/a"));
}

TEST(InlinePlans, ThePlanIsTakenBackWhereItWouldNotVerify) {
  auto done = inlined(
      "    params: {x: {}}\n"
      "    steps: {a: {value: '{{ params.x }}'}}\n"
      "    result: '{{ steps.a.output + 1 }}'\n",
      "  s: {plan: sub, with: {x: 'a text'}}\n");
  EXPECT_EQ(done.step("s"), "plan sub {x: a text}");
  EXPECT_THAT(done.notes(), ElementsAre(HasSubstr("left as written: the plan would not verify")));
}

struct Refusal {
  std::string_view name;
  std::string_view sub;  // "": kTwoSteps
  std::string_view steps;
  std::string_view why;
};

class InlinePlansRefuses : public testing::TestWithParam<Refusal> {};

TEST_P(InlinePlansRefuses, ToInline) {
  const Refusal& each = GetParam();
  auto done = inlined(each.sub.empty() ? kTwoSteps : each.sub, each.steps);
  EXPECT_THAT(done.step("s"), HasSubstr("plan sub"));
  EXPECT_THAT(done.notes(), ElementsAre("inline_plans refused s: " + std::string(each.why)));
}

constexpr Refusal kRefusals[] = {
    {"condition", "", "  s: {plan: sub, with: {x: 1}, when: '{{ params.n > 1 }}'}\n",
     "it has a condition"},
    {"order", "", "  n: {tool: pay}\n  s: {plan: sub, with: {x: 1}, after: [n]}\n",
     "it comes after other steps"},
    {"on_error", "", "  s: {plan: sub, with: {x: 1}, on_error: skip}\n",
     "it states what becomes of its failure"},
    {"stands_in", "", "  n: {tool: pay, on_error: {step: s}}\n  s: {plan: sub, with: {x: 1}}\n",
     "it stands in for a step that fails"},
    {"retry", "", "  s: {plan: sub, with: {x: 1}, retry: {attempts: 2}}\n",
     "it has rules for the whole of the plan"},
    {"timeout", "", "  s: {plan: sub, with: {x: 1}, timeout: 5s}\n",
     "it has rules for the whole of the plan"},
    {"budget", "", "  s: {plan: sub, with: {x: 1}, budget: {calls: 9}}\n",
     "it has rules for the whole of the plan"},
    {"concurrency", "",
     "  s: {for_each: [1], concurrency: 1, plan: sub, with: {x: '{{ item }}'}}\n",
     "it has rules for the whole of the plan"},
    {"schema", "", "  s: {plan: sub, with: {x: 1}, output: {type: object}}\n",
     "its output is checked"},
    {"join", "",
     "  n: {tool: calc}\n"
     "  s: {plan: sub, with: {x: '{{ steps.n.output }}'}, join: {n: {failed: {value: 1}}}}\n",
     "it states what it does without n"},
    {"status", "", "  n: {tool: calc}\n  s: {plan: sub, with: {x: '{{ steps.n.status }}'}}\n",
     "it reads the status of n"},
    {"effect", "    steps: {a: {tool: pay}}\n    result: '{{ steps.a.output }}'\n",
     "  s: {plan: sub}\n", "its step a has the effect once"},
    {"wait", "    steps: {a: {wait: {for: 1s}}}\n", "  s: {plan: sub}\n", "its step a is a wait"},
    {"own_tool",
     "    tools: {calc: {kind: process, command: other, effect: pure}}\n"
     "    steps: {a: {tool: calc}}\n    result: '{{ steps.a.output }}'\n",
     "  s: {plan: sub}\n", "its step a calls a tool of the plan's own"},
    {"own_model",
     "    models: {default: {kind: openai, url: 'http://o', model: other}}\n"
     "    steps: {a: {llm: default, with: {prompt: Hello}}}\n    result: '{{ steps.a.output }}'\n",
     "  s: {plan: sub}\n", "its step a asks a model of the plan's own"},
    {"plan_budget", "    budget: {calls: 3}\n    steps: {a: {tool: calc}}\n", "  s: {plan: sub}\n",
     "its plan has a budget"},
    {"plan_concurrency", "    concurrency: 3\n    steps: {a: {tool: calc}}\n", "  s: {plan: sub}\n",
     "its plan says how much is done at once"},
    {"map_in_a_map",
     "    params: {x: {}}\n"
     "    steps: {a: {for_each: '{{ params.x }}', tool: calc}}\n    result: '{{ steps.a.output "
     "}}'\n",
     "  s: {for_each: [[1]], plan: sub, with: {x: '{{ item }}'}}\n",
     "its step a goes over a list of its own"},
    {"fails_alone_in_a_map",
     "    params: {x: {}}\n"
     "    steps: {a: {tool: calc}, b: {when: '{{ params.x > 0 }}', value: '{{ steps.a.output "
     "}}'}}\n    result: '{{ steps.b.output }}'\n",
     "  s: {for_each: [1], plan: sub, with: {x: '{{ item }}'}}\n",
     "it would not fail where s_a does"},
    {"checked_argument",
     "    params: {x: {type: integer}}\n"
     "    steps: {a: {tool: calc, with: {args: ['{{ params.x }}']}}}\n",
     "  n: {tool: calc}\n  s: {plan: sub, with: {x: '{{ steps.n.output }}'}}\n",
     "what it gives for x is checked when it is called"},
    {"skipped_input",
     "    params: {x: {}}\n"
     "    steps: {a: {tool: calc}, b: {tool: calc, with: {args: ['{{ params.x }}', '{{ "
     "steps.a.output }}']}}}\n"
     "    result: '{{ steps.b.output }}'\n",
     "  n: {tool: calc, when: '{{ params.n > 1 }}'}\n"
     "  s: {plan: sub, with: {x: '{{ steps.n.output }}'}}\n",
     "n may be skipped, and not all of its plan reads it"},
};

INSTANTIATE_TEST_SUITE_P(All, InlinePlansRefuses, testing::ValuesIn(kRefusals),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace sluice
