// Waits and undo: what is wrong with them is found at its place, and what is right is not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/verify/checking.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class WrongWait : public ::testing::TestWithParam<WrongSteps> {};

TEST_P(WrongWait, GivesTheseErrors) {
  Checked checked = check_text(with_frame(GetParam().steps));
  EXPECT_THAT(checked.errors(), ElementsAreArray(GetParam().errors)) << checked.text();
  EXPECT_THAT(checked.text(), HasSubstr(GetParam().says));
}

INSTANTIATE_TEST_SUITE_P(
    Form, WrongWait,
    ::testing::Values(
        WrongSteps{"no_map",
                   "  a: {wait: 10m}\n",
                   {"3:13 VALUE_INVALID"},
                   "wait needs a map with for, until or signal, not a string"},
        WrongSteps{"nothing",
                   "  a: {wait: {}}\n",
                   {"3:13 KEY_MISSING"},
                   "wait needs for (how long), until (a time) or signal (a name)"},
        WrongSteps{"value_only", "  a: {wait: {value: 1}}\n", {"3:13 KEY_MISSING"}},
        WrongSteps{"key_unknown",
                   "  a: {wait: {fro: 10m}}\n",
                   {"3:13 KEY_MISSING", "3:14 KEY_UNKNOWN"},
                   "no key fro; did you mean for?"},
        WrongSteps{"both",
                   "  a: {wait: {for: 10m, until: '2026-12-24T18:00Z'}}\n",
                   {"3:24 VALUE_INVALID"},
                   "a wait has for or until, not both"},
        WrongSteps{"both_other_order",
                   "  a: {wait: {until: '2026-12-24T18:00Z', signal: s, for: 10m}}\n",
                   {"3:53 VALUE_INVALID"}},
        WrongSteps{"signal_expression",
                   "  a: {wait: {signal: '{{ params.p }}'}}\n",
                   {"3:23 VALUE_INVALID"},
                   "signal is a literal name, no expression"},
        WrongSteps{"signal_no_id", "  a: {wait: {signal: Approved}}\n", {"3:22 ID_INVALID"}},
        WrongSteps{"signal_no_text",
                   "  a: {wait: {signal: 5}}\n",
                   {"3:22 VALUE_INVALID"},
                   "signal needs a name, not an integer"},
        WrongSteps{"value_never",
                   "  a: {wait: {signal: s, value: 1}}\n",
                   {"3:25 VALUE_INVALID"},
                   "add for or until"},
        WrongSteps{"with",
                   "  a: {wait: {for: 1s}, with: {x: 1}}\n",
                   {"3:24 VALUE_INVALID"},
                   "a wait has no with"},
        WrongSteps{"timeout",
                   "  a: {wait: {signal: s}, timeout: 1h}\n",
                   {"3:26 VALUE_INVALID"},
                   "a wait has no timeout; write for or until into wait"},
        WrongSteps{"retry",
                   "  a: {wait: {signal: s}, retry: {attempts: 3}}\n",
                   {"3:26 VALUE_INVALID"},
                   "a wait has no retry"},
        WrongSteps{"cache",
                   "  a: {wait: {for: 1s}, cache: {ttl: 1h}}\n",
                   {"3:24 VALUE_INVALID"},
                   "a wait has no cache"},
        WrongSteps{
            "limits", "  a: {wait: {for: 1s}, limits: {steps: 1}}\n", {"3:24 LIMITS_UNUSED"}},
        WrongSteps{"two_operators", "  a: {wait: {for: 1s}, value: 1}\n", {"3:24 OPERATOR_MANY"}},
        WrongSteps{"key_first", "  a: {timeout: 1h, wait: {signal: s}}\n", {"3:7 VALUE_INVALID"}}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Meaning, WrongWait,
    ::testing::Values(
        WrongSteps{
            "for_number", "  a: {wait: {for: 10}}\n", {"3:19 WAIT_INVALID"}, "write 10s or 10m"},
        WrongSteps{"for_no_unit",
                   "  a: {wait: {for: '10'}}\n",
                   {"3:20 WAIT_INVALID"},
                   "a duration is a whole number with ms, s, m or h"},
        WrongSteps{"for_words", "  a: {wait: {for: ten minutes}}\n", {"3:19 WAIT_INVALID"}},
        WrongSteps{
            "for_folded", "  a: {wait: {for: \"{{ '10' ~ 'x' }}\"}}\n", {"3:20 WAIT_INVALID"}},
        WrongSteps{"for_type",
                   "  a: {wait: {for: '{{ params.n }}'}}\n",
                   {"3:19 TYPE_MISMATCH"},
                   "for needs a duration, like 10m, not integer"},
        WrongSteps{"until_nothing",
                   "  a: {wait: {until: tomorrow}}\n",
                   {"3:21 WAIT_INVALID"},
                   "tomorrow is no time"},
        WrongSteps{"until_no_place",
                   "  a: {wait: {until: '2026-12-24 18:00'}}\n",
                   {"3:22 WAIT_INVALID"},
                   "says not where"},
        WrongSteps{"until_no_zone",
                   "  a: {wait: {until: 2026-12-24 18:00 Berlin}}\n",
                   {"3:21 WAIT_INVALID"},
                   "did you mean Europe/Berlin?"},
        WrongSteps{"until_gap",
                   "  a: {wait: {until: 2026-03-29 02:30 Europe/Berlin}}\n",
                   {"3:21 WAIT_INVALID"},
                   "does not exist"},
        WrongSteps{"until_number",
                   "  a: {wait: {until: 5}}\n",
                   {"3:21 WAIT_INVALID"},
                   "until needs a time"},
        WrongSteps{
            "until_type", "  a: {wait: {until: '{{ [params.n] }}'}}\n", {"3:21 TYPE_MISMATCH"}},
        WrongSteps{
            "of", "  a: {wait: {signal: s, of: [x]}}\n", {"3:29 TYPE_MISMATCH"}, "of needs a text"},
        WrongSteps{"ask",
                   "  a: {wait: {signal: s, ask: '{{ [params.n] }}'}}\n",
                   {"3:30 TYPE_MISMATCH"},
                   "ask needs a text"},
        WrongSteps{"value_misfits",
                   "  a: {wait: {signal: s, for: 1h, value: no}, output: {type: boolean}}\n",
                   {"3:41 TYPE_MISMATCH"},
                   "value does not fit output"},
        WrongSteps{
            "value_expression_misfits",
            "  a: {wait: {signal: s, for: 1h, value: '{{ params.n }}'}, output: {type: boolean}}\n",
            {"3:41 TYPE_MISMATCH"},
            "value can never fit output"},
        WrongSteps{"no_value",
                   "  a: {wait: {for: 1h}, output: {type: boolean}}\n",
                   {"3:24 TYPE_MISMATCH"},
                   "nobody sends a value here"},
        WrongSteps{
            "step_unknown", "  a: {wait: {for: '{{ steps.zz.output }}'}}\n", {"3:29 STEP_UNKNOWN"}},
        WrongSteps{"reads_itself",
                   "  a: {wait: {for: 1s, value: '{{ steps.a.output }}'}}\n",
                   {"3:40 STEP_CYCLE"}},
        WrongSteps{"output_type",
                   "  a: {wait: {signal: s}, output: {type: integer}}\n"
                   "  b: {for_each: '{{ steps.a.output }}', value: 1}\n",
                   {"4:17 TYPE_MISMATCH"},
                   "for_each needs an array, not an integer"},
        WrongSteps{"null_type",
                   "  a: {wait: {for: 1s}}\n  b: {for_each: '{{ steps.a.output }}', value: 1}\n",
                   {"4:17 TYPE_MISMATCH"}},
        WrongSteps{"value_type",
                   "  a: {wait: {for: 1s, value: 7}}\n"
                   "  b: {when: '{{ steps.a.output }}', value: 1}\n",
                   {"4:13 TYPE_MISMATCH"}}),
    name_of);

TEST(Waits, TheseAreRight) {
  Checked checked = check_text(
      with_frame("  a: {wait: {for: 10m}}\n"
                 "  b: {wait: {until: '2026-12-24 18:00 Europe/Berlin', value: [1]}}\n"
                 "  c: {for_each: '{{ steps.b.output }}', concurrency: 1, on_error: skip,\n"
                 "      wait: {signal: approved, for: '{{ params.p }}', of: 'case {{ item }}',\n"
                 "             ask: '{{ params.n }}', value: {by: nobody}},\n"
                 "      output: {type: object, properties: {by: {type: string}}}}\n"
                 "  d: {wait: {signal: approved}, after: [c], when: '{{ params.n > 1 }}'}\n"
                 "  e: {wait: {signal: again}, repeat: {until: '{{ output == 1 }}', max: 3}}\n"
                 "  f: {value: '{{ steps.a.output is none and steps.d.status == \"done\" }}'}\n"));
  EXPECT_THAT(checked.errors(), IsEmpty()) << checked.text();
  EXPECT_THAT(checked.warnings(), ElementsAre("11:3 STEP_UNUSED")) << checked.text();
}

TEST(Waits, InAProducedPlanOnlyWhereLimitsSaySo) {
  ParsedPlan parsed = parse_plan_value(
      Value::object(
          {{"steps",
            Value::object(
                {{"a",
                  Value::object({{"wait", Value::object({{"for", Value::string("1s")}})}})}})}}),
      "produced");
  ASSERT_TRUE(parsed.plan && !parsed.diagnostics.has_errors());
  auto tools = catalog_of(*parsed.plan);
  Limits limits;
  limits.operators = {"value"};
  limits.steps = limits.tasks = 5;
  Diagnostics refused;
  verify_plan({*parsed.plan, *tools, &limits}, refused);
  ASSERT_EQ(refused.all().size(), 1U);
  EXPECT_EQ(refused.all()[0].code, ErrorCode::kPlanRejected);
  EXPECT_THAT(refused.all()[0].message, HasSubstr("operator wait is not allowed"));
  limits.operators = {"value", "wait"};
  Diagnostics allowed;
  verify_plan({*parsed.plan, *tools, &limits}, allowed);
  EXPECT_FALSE(allowed.has_errors());
}

constexpr std::string_view kUndoTools = R"(tools:
  pay: {kind: process, command: pay, undo: {tool: refund, with: {args: ["{{ call.task }}"]}}}
  refund: {kind: process, command: refund, effect: idempotent}
  mail: {kind: process, command: mail}
  look: {kind: process, command: look, effect: read}
)";

std::vector<std::string> undo_findings(const std::string& rest) {
  Checked checked = check_text("sluice: 1\n" + rest + std::string(kUndoTools));
  EXPECT_THAT(checked.errors(), IsEmpty()) << checked.text();
  std::vector<std::string> found;
  for (const Diagnostic& each : checked.findings.all()) {
    if (each.code == ErrorCode::kUndoPartial) {
      found.push_back(std::to_string(each.pos.line) + " " + each.message);
    }
  }
  return found;
}

TEST(Undo, NamesWhatStays) {
  EXPECT_THAT(undo_findings("undo: true\nsteps: {a: {tool: pay}, b: {tool: look}}\n"), IsEmpty());
  EXPECT_THAT(undo_findings("steps: {a: {tool: mail}}\n"), IsEmpty());
  EXPECT_THAT(undo_findings("undo: false\nsteps: {a: {tool: mail}}\n"), IsEmpty());
  EXPECT_THAT(undo_findings("undo: true\nsteps: {a: {tool: mail}, b: {tool: pay}}\n"),
              ElementsAre("2 what a changed stays: no undo is set for its tool"));
  EXPECT_THAT(undo_findings("undo: true\n"
                            "plans: {sub: {steps: {x: {tool: mail}, y: {tool: pay}}}}\n"
                            "steps:\n  s: {plan: sub}\n  t: {plan: sub}\n"
                            "  l: {llm: default, with: {prompt: x, tools: [look, refund]}}\n"),
              ElementsAre("2 what s/x, l changed stays: no undo is set for their tools"));
}

TEST(Undo, TheOutermostPlanDecides) {
  const std::string sub =
      "plans: {sub: {undo: true, steps: {x: {tool: pay}}}}\n"
      "steps: {s: {plan: sub}}\n";
  EXPECT_THAT(undo_findings(sub), ElementsAre(HasSubstr("2 undo does nothing here")));
  EXPECT_THAT(undo_findings("undo: true\n" + sub), IsEmpty());
}

TEST(Undo, IsTrueOrFalse) {
  Checked checked = check_text("sluice: 1\nundo: yes\nsteps: {a: {wait: {for: 1s}}}\n");
  EXPECT_THAT(checked.errors(), ElementsAre("2:7 VALUE_INVALID"));
  EXPECT_THAT(checked.text(), HasSubstr("undo is true or false, not a string"));
}

TEST(Undo, ItsExpressionsKnowTheirNames) {
  Checked checked = check_text(
      "sluice: 1\nsteps: {a: {tool: pay}}\ntools:\n"
      "  pay:\n    kind: process\n    command: pay\n"
      "    undo: {tool: pay, with: {args: ['{{ call.taks }}']}}\n"
      "    probe: {tool: pay, with: {args: ['{{ item }}', '{{ key }}', '{{ output.id }}']}}\n");
  EXPECT_THAT(checked.errors(), ElementsAre("7:37 TYPE_MISMATCH", "8:38 EXPR_NAME"))
      << checked.text();
}

}  // namespace
}  // namespace sluice
