#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/optimize/optimizing.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Optimized fused(std::string_view steps) {
  return optimize_text(
      with_tools("  rows: {tool: put.query, with: {sql: select 1}}\n" + std::string(steps)),
      {"fuse_values"});
}

TEST(FuseValues, ASlotStandsWhereItIsRead) {
  auto done = fused(
      "  a: {for_each: '{{ steps.rows.output }}', value: '{{ item.n + 1 }}'}\n"
      "  b: {for_each: '{{ steps.rows.output }}', tool: calc, with: {args: ['{{ "
      "steps.a.output[index] * 2 }}']}}\n"
      "result: '{{ steps.b.output }}'\n");
  EXPECT_EQ(done.step("a"), "gone");
  EXPECT_EQ(done.step("b"),
            "for_each {{ steps.rows.output }}; tool calc {args: [{{ (item.n + 1) * 2 }}]}");
  EXPECT_THAT(done.notes(), ElementsAre("fuse_values a: evaluated where it is read, in b"));
}

TEST(FuseValues, AStepOverAMapGoesOverItsItems) {
  auto done = fused(
      "  a: {for_each: '{{ steps.rows.output }}', value: '{{ item.n + 1 }}'}\n"
      "  b: {for_each: '{{ steps.a.output }}', value: '{{ [item, index] }}'}\n"
      "  c: {for_each: '{{ steps.b.output }}', tool: calc, with: {args: '{{ item }}'}}\n"
      "result: '{{ steps.c.output }}'\n");
  EXPECT_THAT(done.ids(), ElementsAre("rows", "c"));
  EXPECT_EQ(done.step("c"),
            "for_each {{ steps.rows.output }}; tool calc {args: {{ [item.n + 1, index] }}}");
}

TEST(FuseValues, APathMayStandAtSeveralPlaces) {
  auto done = fused(
      "  a: {for_each: '{{ steps.rows.output }}', value: '{{ item.n }}'}\n"
      "  b: {for_each: '{{ steps.rows.output }}', tool: calc, with: {args: ['{{ "
      "steps.a.output[index] }}']}}\n"
      "  c: {for_each: '{{ steps.a.output }}', tool: calc, with: {args: ['{{ item + item }}']}}\n"
      "result: ['{{ steps.b.output }}', '{{ steps.c.output }}']\n");
  EXPECT_EQ(done.step("a"), "gone");
  EXPECT_EQ(done.step("b"), "for_each {{ steps.rows.output }}; tool calc {args: [{{ item.n }}]}");
  EXPECT_EQ(done.step("c"),
            "for_each {{ steps.rows.output }}; tool calc {args: [{{ item.n + item.n }}]}");
}

TEST(FuseValues, ReadersSayWhatTheyDoWithoutWhatTheyReadNow) {
  auto done = fused(
      "  t: {for_each: '{{ steps.rows.output }}', when: '{{ item.n > 1 }}', tool: calc}\n"
      "  a: {for_each: '{{ steps.rows.output }}', value: '{{ steps.t.output[index] + 1 }}', "
      "join: {t: {skipped: skip}}}\n"
      "  b: {for_each: '{{ steps.rows.output }}', tool: pay, with: {args: ['{{ "
      "steps.a.output[index] }}']}, join: {a: {skipped: skip}}}\n");
  EXPECT_EQ(done.step("b"),
            "for_each {{ steps.rows.output }}; tool pay {args: [{{ steps.t.output[index] + 1 }}]}; "
            "join t skipped skip");
}

TEST(FuseValues, AListThatIsCollectedIsNotGoneOverSlotBySlot) {
  auto done = fused(
      "  m: {for_each: '{{ steps.rows.output }}', tool: calc}\n"
      "  a: {value: '{{ steps.m.output }}'}\n"
      "  b: {for_each: '{{ steps.a.output }}', value: '{{ item is none }}'}\n"
      "result: '{{ steps.b.output }}'\n");
  EXPECT_THAT(done.notes(),
              ElementsAre("fuse_values refused a: b goes over its items, empty ones too"));
}

struct Refusal {
  std::string_view name;
  std::string_view steps;
  std::string_view why;
};

class FuseValuesRefuses : public testing::TestWithParam<Refusal> {};

TEST_P(FuseValuesRefuses, ToFuse) {
  const Refusal& each = GetParam();
  const std::string over = "for_each: '{{ steps.rows.output }}'";
  std::string steps(each.steps);
  for (std::size_t at = 0; (at = steps.find("OVER")) != std::string::npos;) {
    steps.replace(at, 4, over);
  }
  auto done = fused(steps);
  EXPECT_NE(done.step("a"), "gone");
  EXPECT_THAT(done.notes(), ElementsAre(HasSubstr(std::string(each.why)))) << each.name;
}

constexpr Refusal kRefusals[] = {
    {"condition",
     "  a: {OVER, when: '{{ index > 0 }}', value: '{{ item.n }}'}\n"
     "  b: {OVER, tool: calc, with: {args: ['{{ steps.a.output[index] }}']}, join: {a: {skipped: "
     "skip}}}\n",
     "it has a condition"},
    {"status",
     "  a: {OVER, value: '{{ item }}'}\n"
     "  b: {tool: calc, when: \"{{ steps.a.status == 'done' }}\"}\n",
     "b reads its status"},
    {"order", "  a: {OVER, value: '{{ item }}'}\n  b: {tool: pay, after: [a]}\n",
     "b comes after it"},
    {"whole",
     "  a: {OVER, value: '{{ item }}'}\n"
     "  b: {tool: calc, with: {args: ['{{ steps.a.output | length }}']}}\n",
     "b reads all of it"},
    {"other_items",
     "  a: {OVER, value: '{{ item.n }}'}\n"
     "  b: {for_each: [1, 2], tool: calc, with: {args: ['{{ steps.a.output[index] }}']}}\n",
     "b goes over other items"},
    {"join",
     "  a: {OVER, value: '{{ item.n + 1 }}'}\n"
     "  b: {OVER, tool: calc, with: {args: ['{{ steps.a.output[index] }}']}, join: {a: {failed: "
     "{value: 0}}}}\n",
     "b states what it does without it"},
    {"lazy",
     "  a: {OVER, value: '{{ item.n + 1 }}'}\n"
     "  b: {OVER, tool: calc, with: {args: ['{{ steps.a.output[index] if index > 0 else 1 }}']}}\n",
     "b may not come to evaluate it"},
    {"test",
     "  a: {OVER, value: '{{ item.n }}'}\n"
     "  b: {OVER, tool: calc, with: {args: ['{{ steps.a.output[index] is defined }}']}}\n",
     "b may not come to evaluate it"},
    {"behind_and",
     "  a: {OVER, value: '{{ item.n + 1 }}'}\n"
     "  b: {OVER, tool: calc, when: '{{ index > 0 and steps.a.output[index] > 1 }}'}\n",
     "b may not come to evaluate it"},
    {"item_unused",
     "  a: {OVER, value: '{{ item.n + 1 }}'}\n"
     "  b: {for_each: '{{ steps.a.output }}', tool: calc}\n",
     "b may not come to evaluate it"},
    {"condition_before_item",
     "  a: {OVER, value: '{{ item.n + 1 }}'}\n"
     "  b: {for_each: '{{ steps.a.output }}', when: '{{ index > 1 }}', tool: calc, with: {args: "
     "['{{ item }}']}}\n",
     "b may not come to evaluate it"},
    {"own_failure",
     "  a: {OVER, value: '{{ item.n + 1 }}'}\n"
     "  b: {OVER, tool: calc, with: {args: ['{{ steps.a.output[index] }}']}, on_error: skip}\n",
     "its failure would be one of b"},
    {"twice",
     "  a: {OVER, value: '{{ item.n + 1 }}'}\n"
     "  b: {OVER, tool: calc, with: {args: ['{{ steps.a.output[index] * steps.a.output[index] "
     "}}']}}\n",
     "it would be evaluated at 2 places"},
    {"repeated",
     "  a: {OVER, value: '{{ item.n + 1 }}'}\n"
     "  b: {OVER, tool: calc, with: {args: ['{{ steps.a.output[index] }}']}, repeat: {until: true, "
     "max: 2}}\n",
     "it would be evaluated at 2 places"},
    {"each_task",
     "  a: {value: '{{ steps.rows.output | length }}'}\n"
     "  b: {OVER, tool: calc, with: {args: ['{{ steps.a.output }}']}}\n",
     "b would evaluate it for each of its tasks"},
    {"template",
     "  a: {OVER, value: 'n is {{ item.n }}'}\n"
     "  b: {OVER, tool: calc, with: {args: ['{{ steps.a.output[index] }}']}}\n",
     "it is a text or holds one"},
    {"prompt",
     "  a: {OVER, value: '{{ item.n }}'}\n"
     "  b: {OVER, llm: default, with: {prompt: 'Say {{ steps.a.output[index] }}'}}\n",
     "b reads it in its prompt"},
    {"schema",
     "  a: {OVER, value: '{{ item.n }}', output: {type: integer}}\n"
     "  b: {OVER, tool: calc, with: {args: ['{{ steps.a.output[index] }}']}}\n",
     "its output is checked"},
    {"captured",
     "  a: {OVER, value: '{{ item.n + 1 }}'}\n"
     "  b: {OVER, tool: calc, with: {args: ['{% for item in [1] %}{{ item }}{% endfor %}{{ "
     "steps.a.output[index] }}{% for item in [steps.a.output[index]] %}{{ item }}{% endfor "
     "%}']}}\n",
     "a"},
};

INSTANTIATE_TEST_SUITE_P(All, FuseValuesRefuses, testing::ValuesIn(kRefusals),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(FuseValues, WhatTheResultReadsIsNotSpokenOf) {
  auto done = fused(
      "  a: {for_each: '{{ steps.rows.output }}', value: '{{ item }}'}\n"
      "result: '{{ steps.a.output }}'\n");
  EXPECT_THAT(done.notes(), IsEmpty());
}

}  // namespace
}  // namespace sluice
