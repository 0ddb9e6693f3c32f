#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/optimize/optimizing.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A list from a tool, a call about each item, and rows made of both.
constexpr std::string_view kRows =
    "  items: {tool: put.query, with: {sql: select 1}}\n"
    "  asked: {for_each: '{{ steps.items.output }}', tool: calc, with: {args: ['{{ item.text "
    "}}']}}\n";
constexpr std::string_view kTold =
    "  told: {for_each: '{{ steps.items.output }}', value: {year: '{{ item.year }}', at: {i: '{{ "
    "index }}'}, answer: '{{ steps.asked.output[index] }}'}}\n";

Optimized early(std::string_view steps, const std::vector<std::string>& only = {"early_tables"}) {
  return optimize_text(with_tools(std::string(kRows) + std::string(steps)), only);
}
std::string table(std::string_view where, std::string_view from = "{{ steps.told.output }}") {
  return fmt::format("  kept: {{table: {{from: '{}', where: \"{{{{ {} }}}}\"}}}}\n", from, where);
}
constexpr std::string_view kResult = "result: '{{ steps.kept.output }}'\n";

std::string told_when(std::string_view where) {
  auto done = early(std::string(kTold) + table(where) + std::string(kResult));
  const Step* told = done.rewritten().find_step("told");
  return told->when ? binding_line(*told->when) : "";
}

TEST(EarlyTables, WhatTheItemTellsIsAskedBeforeTheRowIsMade) {
  auto done = early(std::string(kTold) + table("row.answer == 'yes' and row.year > 2020") +
                    std::string(kResult));
  EXPECT_EQ(
      done.step("told"),
      "for_each {{ steps.items.output }}; when {{ (item.year > 2020) is possible }}; value "
      "{year: {{ item.year }}, at: {i: {{ index }}}, answer: {{ steps.asked.output[index] }}}");
  EXPECT_EQ(done.step("kept"), "table {from: {{ steps.told.output | present }}}");
  EXPECT_THAT(done.notes(),
              ElementsAre("early_tables kept: rows of told are made only where row.year > 2020"));
}

TEST(EarlyTables, TheConditionMovesOnToTheCall) {
  auto done = early(
      std::string(kTold) + table("row.year > 2020 and row.answer == 'yes'") + std::string(kResult),
      {"early_tables", "early_conditions"});
  EXPECT_THAT(done.step("asked"), HasSubstr("when {{ (item.year > 2020) is possible }}; tool"));
}

TEST(EarlyTables, WhatIsSaidOfTheRowIsSaidOfTheItem) {
  EXPECT_EQ(told_when("row.at.i % 2 == 0 or row.year is none"),
            "{{ (index % 2 == 0 or item.year is none) is possible }}");
  EXPECT_EQ(told_when("row.year - 1 > params.n and params.n > 2"),
            "{{ (item.year - 1 > params.n) is possible and (params.n > 2) is possible }}");
  EXPECT_EQ(told_when("10 // row.year > 2"), "{{ (10 // item.year > 2) is possible }}");
}

TEST(EarlyTables, WhatHangsOnTheCallStays) {
  EXPECT_EQ(told_when("row.answer == 'yes'"), "");
  EXPECT_EQ(told_when("row.year > 2020 or row.answer == 'yes'"), "");
  EXPECT_EQ(told_when("row.year == row.answer"), "");
  EXPECT_EQ(told_when("row | length > 2"), "");
  EXPECT_EQ(told_when("row.at | length > 0"), "");
  EXPECT_EQ(told_when("row.year in steps.items.output"), "");
}

TEST(EarlyTables, AnAnswerSparesAnotherQuestion) {
  auto done = early(
      "  more: {for_each: '{{ steps.items.output }}', llm: default, with: {prompt: 'Is {{ "
      "item.text "
      "}} right?'}}\n"
      "  told: {for_each: '{{ steps.items.output }}', value: {first: '{{ steps.asked.output[index] "
      "}}', more: '{{ steps.more.output[index] }}'}}\n" +
      table("row.first == 'yes' and row.more == 'yes'") + std::string(kResult));
  EXPECT_THAT(done.step("told"),
              HasSubstr("when {{ (steps.asked.output[index] == \"yes\") is possible and "
                        "(steps.more.output[index] == \"yes\") is possible }}"));
}

TEST(EarlyTables, AConditionOfTheMapStays) {
  auto done = early(
      "  told: {for_each: '{{ steps.items.output }}', when: '{{ item.ok or item.new }}', value: "
      "{year: '{{ item.year }}', answer: '{{ steps.asked.output[index] }}'}}\n" +
      table("row.year > 2020", "{{ steps.told.output | present }}") + std::string(kResult));
  EXPECT_THAT(done.step("told"),
              HasSubstr("when {{ (item.ok or item.new) and (item.year > 2020) is possible }}"));
}

TEST(EarlyTables, RowsOfTheOtherListOfAMatch) {
  auto done = early(std::string(kTold) +
                    "  kept: {table: {from: '{{ steps.items.output }}', match: {with: '{{ "
                    "steps.told.output }}', on: '{{ row.n == other.at.i }}'}, where: '{{ row.n > 1 "
                    "and other.year > 2020 and other.answer == 1 }}'}}\n" +
                    std::string(kResult));
  EXPECT_THAT(done.step("told"), HasSubstr("when {{ (item.year > 2020) is possible }}"));
  EXPECT_THAT(done.step("kept"), HasSubstr("match: {{ steps.told.output | present }}"));
}

TEST(EarlyTables, RowsThatStayWithoutAMatch) {
  auto done =
      early(std::string(kTold) +
            "  kept: {table: {from: '{{ steps.told.output }}', match: {with: '{{ "
            "steps.items.output }}', keep: all, on: '{{ row.at.i == other.n }}'}, where: '{{ "
            "row.year > 2020 }}'}}\n" +
            std::string(kResult));
  EXPECT_THAT(done.step("told"), HasSubstr("when {{ (item.year > 2020) is possible }}"));
}

struct Refusal {
  std::string_view name;
  std::string_view steps;
  std::string_view why;
};

class EarlyTablesRefuses : public testing::TestWithParam<Refusal> {};

TEST_P(EarlyTablesRefuses, AndSaysWhy) {
  auto done = early(GetParam().steps);
  EXPECT_THAT(done.notes(),
              ElementsAre(fmt::format("early_tables refused kept: told: {}", GetParam().why)));
  EXPECT_EQ(done.plan.rewritten, done.written);
}

#define TOLD                                                                                     \
  "  told: {for_each: '{{ steps.items.output }}', value: {year: '{{ item.year }}', answer: '{{ " \
  "steps.asked.output[index] }}'}}\n"
#define KEPT "  kept: {table: {from: '{{ steps.told.output }}', where: '{{ row.year > 2020 }}'}}\n"
#define RESULT "result: '{{ steps.kept.output }}'\n"

constexpr Refusal kRefusals[] = {
    {"Result", TOLD KEPT "result: ['{{ steps.kept.output }}', '{{ steps.told.output }}']\n",
     "the result reads it"},
    {"Whole", TOLD KEPT "  all: {value: '{{ steps.told.output | length }}'}\n", "all reads it too"},
    {"Slot",
     TOLD KEPT "  pay: {for_each: '{{ steps.items.output }}', tool: pay, with: {args: ['{{ "
               "steps.told.output[index].year }}']}}\n",
     "pay reads it too"},
    {"Status", TOLD KEPT "  how: {value: '{{ steps.told.status }}'}\n", "how reads its status"},
    {"Order", TOLD KEPT "  behind: {after: [told], tool: pay}\n", "behind comes after it"},
    {"Twice",
     TOLD "  kept: {table: {from: '{{ steps.told.output }}', where: '{{ row.year > 2020 }}', "
          "select: '{{ "
          "steps.told.output | length }}'}}\n" RESULT,
     "kept reads it at another place too"},
    {"Condition",
     TOLD
     "  kept: {when: '{{ steps.told.output | length > 3 }}', table: {from: '{{ steps.told.output "
     "}}', where: '{{ row.year > 2020 }}'}}\n" RESULT,
     "kept reads it too"},
    {"KeepAll",
     TOLD
     "  kept: {table: {from: '{{ steps.items.output }}', match: {with: '{{ steps.told.output }}', "
     "keep: all, on: '{{ row.n == other.year }}'}, where: '{{ other.year > 2020 }}'}}\n" RESULT,
     "rows without a match stay"},
    {"EmptySlots",
     "  told: {for_each: '{{ steps.items.output }}', when: '{{ item.ok }}', value: {year: '{{ "
     "item.year }}', answer: '{{ steps.asked.output[index] }}'}}\n" KEPT RESULT,
     "some of its rows may be missing"},
    {"Rules",
     "  told: {for_each: '{{ steps.items.output }}', value: {year: '{{ item.year }}', answer: '{{ "
     "steps.asked.output[index] }}'}, on_error: {value: {year: 3000, answer: 1}}}\n" KEPT RESULT,
     "it has rules of its own"},
    {"JoinOfTheRow",
     "  maybe: {for_each: '{{ steps.items.output }}', when: '{{ item.ok }}', tool: calc}\n"
     "  told: {for_each: '{{ steps.items.output }}', value: {year: '{{ item.year }}', answer: '{{ "
     "steps.maybe.output[index] }}'}, join: {maybe: {skipped: {value: 0}}}}\n" KEPT RESULT,
     "it states what it does without maybe"},
    {"JoinOfTheTable",
     TOLD
     "  kept: {table: {from: '{{ steps.told.output }}', where: '{{ row.year > 2020 }}'}, join: "
     "{told: {failed: {value: {year: 3000, answer: 1}}}}}\n" RESULT,
     "kept states what it does without it"},
    {"Labels",
     "  told: {for_each: '{{ steps.items.output }}', value: {year: '{{ item.year }}', answer: '{{ "
     "steps.asked.output[index] if item.ok else 0 }}'}}\n" KEPT RESULT,
     "its rows may differ in their labels"},
    {"WhatActsBehind",
     "  put: {for_each: '{{ steps.items.output }}', tool: put.exec, with: {sql: 'delete from t'}}\n"
     "  told: {for_each: '{{ steps.items.output }}', value: {year: '{{ item.year }}', answer: '{{ "
     "steps.asked.output[index] }}', put: '{{ steps.put.output[index] }}'}}\n" KEPT
     "  pay: {for_each: '{{ steps.kept.output }}', tool: pay}\n",
     "what comes behind told would not wait for put"},
    {"LabelsOfAnErrorsValue",
     "  sure: {for_each: '{{ steps.items.output }}', tool: calc, on_error: {value: 0}}\n"
     "  told: {for_each: '{{ steps.items.output }}', value: {year: '{{ item.year }}', answer: '{{ "
     "steps.sure.output[index] }}'}}\n" KEPT RESULT,
     "its rows may differ in their labels"},
};

INSTANTIATE_TEST_SUITE_P(All, EarlyTablesRefuses, testing::ValuesIn(kRefusals),
                         [](const auto& info) { return std::string(info.param.name); });

// Where there is nothing to be won nothing is said.
TEST(EarlyTables, LeavesTheRestAlone) {
  constexpr std::string_view kOthers[] = {
      "  kept: {table: {from: '{{ steps.asked.output }}', where: '{{ row.year > 2020 }}'}}\n",
      "  told: {for_each: '{{ steps.items.output }}', value: {year: '{{ item.year }}'}}\n"
      "  kept: {table: {from: '{{ steps.told.output }}', where: '{{ row.year > 2020 }}'}}\n",
      "  told: {for_each: '{{ steps.items.output }}', value: '{{ steps.asked.output[index] }}'}\n"
      "  kept: {table: {from: '{{ steps.told.output }}', where: '{{ row.year > 2020 }}'}}\n",
      TOLD
      "  kept: {table: {from: '{{ steps.told.output | sort(attribute=\"year\") }}', where: '{{ "
      "row.year > 2020 }}'}}\n",
      TOLD "  kept: {table: {from: '{{ steps.told.output }}', select: '{{ row.year }}'}}\n",
      "  one: {tool: calc}\n"
      "  told: {for_each: '{{ steps.items.output }}', value: {year: '{{ item.year }}', answer: '{{ "
      "steps.one.output }}'}}\n" KEPT,
  };
  for (const std::string_view steps : kOthers) {
    auto done = early(steps);
    EXPECT_THAT(done.notes(), IsEmpty()) << steps;
    EXPECT_EQ(done.plan.rewritten, done.written) << steps;
  }
}

// What other passes have put in the place of a parameter stands in the table's `with`.
TEST(EarlyTables, TakesWhatStandsInTheTable) {
  auto done = optimize_text(with_tools(std::string(kRows) + std::string(kTold) +
                                       table("row.year > params.n") + std::string(kResult)),
                            {"fold_constants", "early_tables"}, R"({"n": 2020})");
  EXPECT_THAT(done.step("told"), HasSubstr("when {{ (item.year > 2020) is possible }}"));
}

}  // namespace
}  // namespace sluice
