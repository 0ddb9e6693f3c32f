// early_conditions: what moves where, and everything that must keep it from moving.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "fmt/format.h"
#include "plan/rewrite.h"
#include "tests/optimize/optimizing.h"

namespace sluice {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

const char* const kResult = "result: \"{{ steps.kept.output }}\"\n";

// So many rows are worth waiting for.
std::string many_rows() {
  std::string rows;
  for (int i = 0; i < 60; ++i) rows += (i == 0 ? "" : ",") + std::string(R"({"text":"t"})");
  return R"({"p":[)" + rows + "]}";
}

Optimized early(std::string_view steps, std::string_view rest = kResult,
                std::string_view params = "") {
  return optimize_text(with_tools(steps, rest), {"early_conditions"}, params);
}

TEST(EarlyConditions, AnExactFilterWrittenLastGoesFirst) {
  auto done = early(R"(
  ask: {for_each: "{{ params.p }}", llm: default, with: {prompt: "{{ item.text }}?"}}
  kept:
    for_each: "{{ params.p }}"
    when: "{{ steps.ask.output[index] == 'yes' and item.urgency == 'high' }}"
    value: "{{ item.name }}"
)");
  EXPECT_THAT(done.step("ask"),
              HasSubstr(R"(when {{ (item.urgency == "high") is possible }}; llm default)"));
  EXPECT_THAT(done.step("kept"),
              AllOf(HasSubstr("when {{ steps.ask.output[index] == 'yes' and item.urgency == "
                              "'high' }}"),
                    HasSubstr("join ask skipped skip")));
  EXPECT_THAT(done.notes(),
              Contains(R"(early_conditions ask: only where item.urgency == "high", as kept asks)"));
  EXPECT_GT(done.plan.notes.front().saved_calls.value_or(0), 0);
}

TEST(EarlyConditions, AnExpensiveQuestionIsAskedOfRowsThatTheOthersLetThrough) {
  auto done = early(R"(
  first: {for_each: "{{ params.p }}", llm: default, with: {prompt: "a {{ item.text }}"}}
  second: {for_each: "{{ params.p }}", llm: default, with: {prompt: "b {{ item.text }}"}}
  told: {for_each: "{{ params.p }}", llm: default, with: {prompt: "c {{ item.text }}"}}
  kept:
    for_each: "{{ params.p }}"
    when: "{{ steps.first.output[index] == 'y' and steps.second.output[index] == 'y' and item.ok }}"
    value: "{{ steps.told.output[index] }}"
)",
                    kResult, many_rows());
  EXPECT_THAT(done.step("first"), HasSubstr("when {{ item.ok is possible }};"));
  EXPECT_THAT(done.step("second"),
              AllOf(HasSubstr("item.ok is possible and (steps.first.output[index] == \"y\") is "
                              "possible"),
                    HasSubstr("join first skipped skip")));
  EXPECT_THAT(done.step("told"),
              AllOf(HasSubstr("item.ok is possible"), HasSubstr("steps.first.output[index]"),
                    HasSubstr("steps.second.output[index]")));
}

TEST(EarlyConditions, FewRowsAreNotMadeToWait) {
  auto done = early(R"(
  first: {for_each: "{{ params.p }}", llm: default, with: {prompt: "a {{ item.text }}"}}
  second: {for_each: "{{ params.p }}", llm: default, with: {prompt: "b {{ item.text }}"}}
  kept:
    for_each: "{{ params.p }}"
    when: "{{ steps.first.output[index] == 'y' and steps.second.output[index] == 'y' }}"
    value: 1
)",
                    kResult, R"({"p":[{"text":"t"},{"text":"u"}]})");
  EXPECT_THAT(done.step("first"), Not(HasSubstr("when")));
  EXPECT_THAT(done.step("second"), Not(HasSubstr("when")));
  EXPECT_THAT(done.notes(), Contains(HasSubstr("early_conditions refused second: to wait for "
                                               "first would take longer")));
}

TEST(EarlyConditions, SingleStepsGetThemToo) {
  auto done = early(R"(
  ask: {llm: default, with: {prompt: "{{ params.p }}?"}}
  kept: {when: "{{ steps.ask.output == 'yes' and params.n > 2 }}", value: 1}
)");
  EXPECT_THAT(done.step("ask"), HasSubstr("when {{ (params.n > 2) is possible }};"));
}

TEST(EarlyConditions, WhatTheSparedStepReadsIsSparedToo) {
  auto done = early(R"(
  raw: {for_each: "{{ params.p }}", tool: calc, with: {args: ["{{ item.text }}"]}}
  both: {for_each: "{{ params.p }}", value: "{{ [steps.raw.output[index], item.text] }}"}
  ask: {for_each: "{{ params.p }}", llm: default, with: {prompt: "{{ steps.both.output[index][0] }}"}}
  kept:
    for_each: "{{ params.p }}"
    when: "{{ item.ok }}"
    value: "{{ steps.ask.output[index] }}"
)");
  for (const char* id : {"raw", "both", "ask"}) {
    EXPECT_THAT(done.step(id), HasSubstr("when {{ item.ok is possible }};")) << id;
  }
  EXPECT_THAT(done.step("both"), HasSubstr("join raw skipped skip"));
  EXPECT_THAT(done.step("ask"), HasSubstr("join both skipped skip"));
}

TEST(EarlyConditions, ConditionsAreHandedOnlyToWhatCalls) {
  auto done = early(R"(
  sum: {for_each: "{{ params.p }}", value: "{{ item.a + 1 }}"}
  kept: {for_each: "{{ params.p }}", when: "{{ item.ok }}", value: "{{ steps.sum.output[index] }}"}
)");
  EXPECT_EQ(done.step("sum"), "for_each {{ params.p }}; value {{ item.a + 1 }}");
  EXPECT_THAT(done.notes(), IsEmpty());
}

TEST(EarlyConditions, OwnConditionsStay) {
  auto done = early(R"(
  ask:
    for_each: "{{ params.p }}"
    when: "{{ item.long or item.new }}"
    llm: default
    with: {prompt: "{{ item.text }}?"}
  kept:
    for_each: "{{ params.p }}"
    when: "{{ steps.ask.output[index] == 'yes' and item.ok }}"
    value: "{{ item.name }}"
)");
  EXPECT_THAT(done.step("ask"),
              HasSubstr("when {{ item.ok is possible and (item.long or item.new) }};"));
}

TEST(EarlyConditions, ReadersWithTheSameConditionCount) {
  const char* const steps = R"(
  ask: {for_each: "{{ params.p }}", llm: default, with: {prompt: "{{ item.text }}?"}}
  one: {for_each: "{{ params.p }}", when: "{{ item.ok }}", value: "{{ steps.ask.output[index] }}"}
  kept:
    for_each: "{{ params.p }}"
    when: "{{ item.new and item.ok }}"
    value: "{{ steps.ask.output[index] }}"
)";
  auto done = early(steps, "result: [\"{{ steps.one.output }}\", \"{{ steps.kept.output }}\"]\n");
  EXPECT_THAT(done.step("ask"), HasSubstr("when {{ item.ok is possible }};"));
  EXPECT_THAT(done.step("one"), HasSubstr("join ask skipped skip"));
  EXPECT_THAT(done.step("kept"), HasSubstr("join ask skipped skip"));
}

TEST(EarlyConditions, OneReaderWithoutItIsEnoughToLeaveTheStepAlone) {
  auto done = early(R"(
  ask: {for_each: "{{ params.p }}", llm: default, with: {prompt: "{{ item.text }}?"}}
  other: {for_each: "{{ params.p }}", value: "{{ steps.ask.output[index] }}"}
  kept:
    for_each: "{{ params.p }}"
    when: "{{ item.ok }}"
    value: "{{ steps.ask.output[index] }}"
)",
                    "result: [\"{{ steps.other.output }}\", \"{{ steps.kept.output }}\"]\n");
  EXPECT_THAT(done.step("ask"), Not(HasSubstr("when")));
}

TEST(EarlyConditions, ItemOfOtherRowsIsAnotherItem) {
  auto done = early(R"(
  ask: {for_each: "{{ params.p }}", llm: default, with: {prompt: "{{ item.text }}?"}}
  kept:
    for_each: "{{ params.p[:10] }}"
    when: "{{ steps.ask.output[index] == 'yes' and item.ok and params.n > 2 }}"
    value: 1
)");
  EXPECT_THAT(done.step("ask"), HasSubstr("when {{ (params.n > 2) is possible }};"));
}

TEST(EarlyConditions, ConditionsOnSlotsMoveAgainstAFlow) {
  auto done = early(R"(
  row: {for_each: "{{ params.p }}", value: "{{ {'ok': item.ok, 'text': item.text} }}"}
  ask:
    for_each: "{{ steps.row.output }}"
    llm: default
    with: {prompt: "{{ item.text }}?"}
  kept:
    for_each: "{{ steps.ask.output }}"
    when: "{{ item == 'yes' and steps.row.output[index].ok }}"
    value: "{{ item }}"
)");
  EXPECT_THAT(done.step("ask"), AllOf(HasSubstr("when {{ steps.row.output[index].ok is possible"),
                                      Not(HasSubstr("item =="))));
}

TEST(EarlyConditions, AConditionMovesToNothingThatItIsMadeOf) {
  auto done = early(R"(
  first: {for_each: "{{ params.p }}", llm: default, with: {prompt: "{{ item.text }}?"}}
  second:
    for_each: "{{ params.p }}"
    llm: default
    with: {prompt: "{{ steps.first.output[index] }}?"}
  kept:
    for_each: "{{ params.p }}"
    when: "{{ steps.second.output[index] == 'y' and steps.first.output[index] == 'y' }}"
    value: 1
)",
                    kResult, many_rows());
  EXPECT_THAT(done.step("first"), Not(HasSubstr("when")));
  EXPECT_THAT(done.step("second"), HasSubstr("(steps.first.output[index] == \"y\") is possible"));
}

TEST(EarlyConditions, EveryInputOfAStepWithNewInputsIsStated) {
  // `old` may be skipped; `ask` reads nothing else, so that need not be said. With the condition it
  // reads `sure` too.
  auto done = early(R"(
  sure: {for_each: "{{ params.p }}", value: "{{ item.ok }}"}
  old: {for_each: "{{ params.p }}", when: "{{ item.old }}", value: "{{ item.text }}"}
  ask: {for_each: "{{ params.p }}", llm: default, with: {prompt: "{{ steps.old.output[index] }}"}}
  kept:
    for_each: "{{ params.p }}"
    join: {ask: {skipped: skip}}
    when: "{{ steps.sure.output[index] }}"
    value: "{{ steps.ask.output[index] }}"
)");
  EXPECT_THAT(done.step("ask"),
              AllOf(HasSubstr("when {{ steps.sure.output[index] is possible }}"),
                    HasSubstr("join old skipped skip"), HasSubstr("join sure skipped skip")));
}

TEST(EarlyConditions, InSubPlans) {
  auto done = early(R"(
  kept: {for_each: "{{ params.p }}", plan: row, with: {item: "{{ item }}"}}
)",
                    R"(plans:
  row:
    sluice: 1
    params: {item: {}}
    steps:
      ask: {llm: default, with: {prompt: "{{ params.item.text }}?"}}
      yes: {when: "{{ steps.ask.output == 'yes' and params.item.ok }}", value: 1}
    result: "{{ steps.yes.output }}"
result: "{{ steps.kept.output }}"
)");
  const Plan& row = done.rewritten("row");
  EXPECT_THAT(step_line(*row.find_step("ask")), HasSubstr("params.item.ok is possible"));
}

struct Refusal {
  const char* name;
  const char* steps;  // of which `ask` is not to change
  const char* why;    // part of a note about it; "" where nothing is said
  const char* result = "{{ steps.kept.output }}";
};

const Refusal kRefusals[] = {
    {"result", R"(
  ask: {for_each: "{{ params.p }}", llm: default, with: {prompt: "{{ item.text }}"}}
  kept: {for_each: "{{ params.p }}", when: "{{ item.ok }}", value: "{{ steps.ask.output[index] }}"}
)",
     "the result reads it", "{{ [steps.kept.output, steps.ask.output] }}"},
    {"status", R"(
  ask: {llm: default, with: {prompt: "{{ params.p }}"}}
  told: {value: "{{ steps.ask.status }}"}
  kept: {when: "{{ params.n > 2 }}", value: "{{ steps.ask.output }}"}
)",
     "told reads its status", "{{ [steps.kept.output, steps.told.output] }}"},
    {"after", R"(
  ask: {llm: default, with: {prompt: "{{ params.p }}"}}
  paid: {after: [ask], tool: pay}
  kept: {when: "{{ params.n > 2 }}", value: "{{ steps.ask.output }}"}
)",
     "paid comes after it", "{{ [steps.kept.output, steps.paid.output] }}"},
    {"after the reader", R"(
  ask: {llm: default, with: {prompt: "{{ params.p }}"}}
  kept: {when: "{{ steps.ask.output == 'yes' and params.n > 2 }}", value: 1}
  paid: {after: [kept], tool: pay}
)",
     "paid would not be held up by ask", "{{ [steps.kept.output, steps.paid.output] }}"},
    {"a status of what is skipped with the reader", R"(
  ask: {llm: default, with: {prompt: "{{ params.p }}"}}
  told: {when: "{{ steps.ask.output == 'yes' and params.n > 2 }}", value: 1}
  more: {value: "{{ steps.told.output }}"}
  kept: {when: "{{ steps.more.status == 'skipped' }}", tool: pay}
)",
     "kept would not be held up by ask"},
    {"an effect before it", R"(
  paid: {tool: put.exec, with: {sql: insert into t values (1) }}
  ask: {llm: default, with: {prompt: "{{ steps.paid.output }}"}}
  told: {when: "{{ steps.ask.output == 'yes' and params.n > 2 }}", value: 1}
  kept: {join: {told: {skipped: {value: 2}}}, tool: pay, with: {stdin: "{{ steps.told.output }}"}}
)",
     "what comes behind told would not wait for paid"},
    {"whole list", R"(
  ask: {for_each: "{{ params.p }}", llm: default, with: {prompt: "{{ item.text }}"}}
  kept:
    for_each: "{{ params.p }}"
    when: "{{ item.ok }}"
    value: "{{ steps.ask.output | length }}"
)",
     "kept reads all of it"},
    {"its items", R"(
  ask: {llm: default, with: {prompt: "{{ params.p }}"}, output: {type: array}}
  kept: {for_each: "{{ steps.ask.output }}", when: "{{ params.n > 2 }}", value: "{{ item }}"}
)",
     "kept goes through its items"},
    {"a value where it is skipped", R"(
  ask:
    for_each: "{{ params.p }}"
    on_error: skip
    llm: default
    with: {prompt: "{{ item.text }}"}
  kept:
    for_each: "{{ params.p }}"
    join: {ask: {skipped: {value: none}}}
    when: "{{ item.ok }}"
    value: "{{ steps.ask.output[index] }}"
)",
     "kept runs without it where it is skipped"},
    {"fails where it is skipped", R"(
  ask: {for_each: "{{ params.p }}", llm: default, with: {prompt: "{{ item.text }}"}}
  kept:
    for_each: "{{ params.p }}"
    join: {ask: {skipped: fail}}
    when: "{{ item.ok }}"
    value: "{{ steps.ask.output[index] }}"
)",
     "kept runs without it where it is skipped"},
    {"once", R"(
  ask: {for_each: "{{ params.p }}", tool: pay}
  kept: {for_each: "{{ params.p }}", when: "{{ item.ok }}", value: "{{ steps.ask.output[index] }}"}
)",
     "its effect is once"},
    {"idempotent", R"(
  ask: {for_each: "{{ params.p }}", tool: put.exec, with: {sql: insert into t values (1) }}
  kept: {for_each: "{{ params.p }}", when: "{{ item.ok }}", value: "{{ steps.ask.output[index] }}"}
)",
     "its effect is idempotent"},
    {"repeat", R"(
  ask:
    for_each: "{{ params.p }}"
    repeat: {until: "{{ output == 'x' }}", max: 3}
    llm: default
    with: {prompt: "{{ item.text }} {{ round }}"}
  kept: {for_each: "{{ params.p }}", when: "{{ item.ok }}", value: "{{ steps.ask.output[index] }}"}
)",
     "it repeats"},
    {"a fallback of its own", R"(
  instead: {tool: pay}
  ask:
    for_each: "{{ params.p }}"
    on_error: {step: instead}
    llm: default
    with: {prompt: "{{ item.text }}"}
  kept: {for_each: "{{ params.p }}", when: "{{ item.ok }}", value: "{{ steps.ask.output[index] }}"}
)",
     "another step stands in for it"},
    {"read by a fallback", R"(
  ask: {llm: default, with: {prompt: "{{ params.p }}"}}
  instead: {value: "{{ steps.ask.output }}"}
  other: {on_error: {step: instead}, tool: pay}
  kept: {when: "{{ params.n > 2 }}", value: "{{ steps.ask.output }}"}
)",
     "instead reads it when another step fails", "{{ [steps.kept.output, steps.other.output] }}"},
    {"wait", R"(
  ask: {wait: {signal: go}}
  kept: {when: "{{ params.n > 2 }}", value: "{{ steps.ask.output }}"}
)",
     "it waits for time or a person"},
    {"stream", R"(
  ask: {tool: lines, with: {args: ["{{ params.p }}"]}}
  kept: {for_each: "{{ steps.ask.output }}", when: "{{ params.n > 2 }}", value: "{{ item }}"}
)",
     "it gives its items one by one"},
    {"a condition with a join of its own", R"(
  maybe: {for_each: "{{ params.p }}", when: "{{ item.some }}", value: "{{ item.x }}"}
  ask: {for_each: "{{ params.p }}", llm: default, with: {prompt: "{{ item.text }}"}}
  kept:
    for_each: "{{ params.p }}"
    join: {maybe: {skipped: {value: true}}}
    when: "{{ steps.maybe.output[index] }}"
    value: "{{ steps.ask.output[index] }}"
)",
     ""},
    {"a condition on a status", R"(
  other: {on_error: skip, tool: pay}
  ask: {llm: default, with: {prompt: "{{ params.p }}"}}
  kept: {when: "{{ steps.other.status == 'done' }}", value: "{{ steps.ask.output }}"}
)",
     ""},
    {"a text as condition", R"(
  ask: {llm: default, with: {prompt: "{{ params.p }}"}}
  kept: {when: "{{ params.n > 2 or steps.ask.output == 'y' }}", value: 1}
)",
     ""},
};

TEST(EarlyConditions, RefusedWhereItCouldBeSeen) {
  for (const Refusal& each : kRefusals) {
    SCOPED_TRACE(each.name);
    const std::string rest = "result: \"" + std::string(each.result) + "\"\n";
    auto done = early(each.steps, rest);
    ASSERT_EQ(done.error, "");
    EXPECT_EQ(done.step("ask"), step_line(*done.written->find_step("ask")));
    if (*each.why != '\0') {
      EXPECT_THAT(done.notes(), Contains("early_conditions refused ask: " + std::string(each.why)));
    }
  }
}

TEST(EarlyConditions, OrderThatIsKeptAnyhow) {
  // Nothing acts behind `one`; `two` is skipped by itself; `three` is followed by values only.
  auto done =
      early(R"(
  ask: {llm: default, with: {prompt: "{{ params.p }}"}}
  one: {when: "{{ steps.ask.output == 'yes' and params.n > 2 }}", value: 1}
  told: {after: [one], value: 1}
  ask_too: {llm: default, with: {prompt: "too {{ params.p }}"}}
  two: {when: "{{ params.n > 2 }}", tool: pay, with: {stdin: "{{ steps.ask_too.output }}"}}
  paid: {after: [two], tool: pay}
  ask_all: {llm: default, with: {prompt: "all {{ params.p }}"}}
  three: {when: "{{ steps.ask_all.output == 'yes' and params.n > 2 }}", value: 1}
  kept: {join: {three: {skipped: {value: 2}}}, tool: pay, with: {stdin: "{{ steps.three.output }}"}}
)",
            "result: \"{{ [steps.kept.output, steps.told.output, steps.paid.output] }}\"\n");
  for (const char* id : {"ask", "ask_too", "ask_all"}) {
    EXPECT_THAT(done.step(id), HasSubstr("when {{ (params.n > 2) is possible }};")) << id;
  }
}

// Nobody reads `dead`: it keeps no condition from `ask`, and what `ask` saves is told once.
TEST(EarlyConditions, DeadReadersDoNotCount) {
  const char* const steps = R"(
  ask: {for_each: "{{ params.p }}", llm: default, with: {prompt: "{{ item.text }}?"}}
  dead: {for_each: "{{ params.p }}", value: "{{ steps.ask.output[index] }}"}
  kept:
    for_each: "{{ params.p }}"
    when: "{{ item.ok }}"
    value: "{{ steps.ask.output[index] }}"
)";
  auto done =
      optimize_text(with_tools(steps, kResult), {"drop_dead_steps", "early_conditions"}, "");
  EXPECT_THAT(done.step("ask"), HasSubstr("when {{ item.ok is possible }};"));
  done = optimize_text(with_tools(steps, "result: 5\n"), {"drop_dead_steps", "early_conditions"});
  for (const PassNote& note : done.plan.notes) EXPECT_EQ(note.pass, "drop_dead_steps");
}

TEST(EarlyConditions, OneThatIsTooDeepKeepsNoOthersFromTheirs) {
  const auto nested = [](std::size_t n) {
    return "item.x == " + std::string(n, '[') + std::string(n, ']');
  };
  std::size_t most = 1;
  while (expression_binding(nested(most + 1), {})) ++most;
  auto done = early(R"(
  deep: {for_each: "{{ params.p }}", when: "{{ )" +
                    nested(most) + R"( }}", llm: default, with: {prompt: "{{ item.text }}?"}}
  ask: {for_each: "{{ params.p }}", llm: default, with: {prompt: "{{ item.text }}!"}}
  kept:
    for_each: "{{ params.p }}"
    when: "{{ item.ok }}"
    join: {deep: {skipped: skip}}
    value: "{{ [steps.deep.output[index], steps.ask.output[index]] }}"
)");
  ASSERT_EQ(done.error, "");
  EXPECT_THAT(done.step("ask"), HasSubstr("when {{ item.ok is possible }};"));
  EXPECT_EQ(done.step("deep"), step_line(*done.written->find_step("deep")));
  EXPECT_THAT(done.notes(), Contains(HasSubstr("early_conditions refused deep: ")));
}

// Each of many steps has a condition of its own and reads the one before.
TEST(EarlyConditions, ConditionsDoNotPileUp) {
  std::string steps = "  s0: {tool: calc}\n";
  for (int i = 1; i <= 200; ++i) {
    steps += fmt::format("  s{}: {{when: \"{{{{ params.p != {} }}}}\", tool: calc, ", i, i);
    steps += fmt::format("with: {{args: [\"{{{{ steps.s{}.output }}}}\"]}}}}\n", i - 1);
  }
  auto done = early(steps, "result: \"{{ steps.s200.output }}\"\n");
  ASSERT_EQ(done.error, "");
  const Step* first = done.plan.rewritten->find_step("s0");
  ASSERT_TRUE(first->when);
  EXPECT_EQ(first->when->expr.conjuncts().size(), 8U);
}

TEST(EarlyConditions, ASubPlanThatWaitsIsLeftAlone) {
  auto done = early(R"(
  ask: {plan: inner}
  kept: {when: "{{ params.n > 2 }}", value: "{{ steps.ask.output }}"}
)",
                    R"(plans:
  inner:
    sluice: 1
    steps: {told: {wait: {signal: go}}}
    result: "{{ steps.told.output }}"
result: "{{ steps.kept.output }}"
)");
  EXPECT_THAT(done.step("ask"), Not(HasSubstr("when")));
  EXPECT_THAT(done.notes(), Contains(HasSubstr("it waits for time or a person")));
}

}  // namespace
}  // namespace sluice
