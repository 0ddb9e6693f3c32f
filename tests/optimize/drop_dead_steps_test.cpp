// drop_dead_steps: what goes, and what stays although nothing reads it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/optimize/optimizing.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Optimized dropped(std::string_view steps, std::string_view rest = "") {
  return optimize_text(with_tools(steps, rest), {"drop_dead_steps"});
}

TEST(DropDeadSteps, WhatNothingReads) {
  Optimized done = dropped(
      "  a: {tool: calc}\n"
      "  b: {llm: default, with: {prompt: '{{ steps.a.output }}'}}\n"
      "  c: {tool: web, with: {path: /x}}\n"
      "  d: {value: 1}\n"
      "result: '{{ steps.d.output }}'\n");
  EXPECT_THAT(done.ids(), ElementsAre("d"));
  EXPECT_THAT(done.notes(),
              ElementsAre("drop_dead_steps a: nothing reads it, and it changes nothing: not done",
                          "drop_dead_steps b: nothing reads it, and it changes nothing: not done",
                          "drop_dead_steps c: nothing reads it, and it changes nothing: not done"));
}

TEST(DropDeadSteps, AllOfThem) {
  Optimized done = dropped("  a: {tool: calc}\nresult: 1\n");
  EXPECT_THAT(done.ids(), IsEmpty());
  EXPECT_TRUE(done.plan.physical->steps.empty());
}

TEST(DropDeadSteps, OnlyWhereThePlanStatesAResult) {
  Optimized done = dropped("  a: {tool: calc}\n  b: {value: '{{ steps.a.output }}'}\n");
  EXPECT_THAT(done.ids(), ElementsAre("a", "b"));
  EXPECT_THAT(done.notes(),
              ElementsAre(HasSubstr("refused b: nothing reads it, but the plan states no result")));
  EXPECT_THAT(dropped("  a: {tool: calc}\nresult: null\n").ids(), IsEmpty());
}

TEST(DropDeadSteps, EffectsAndWhatTheyNeedStay) {
  Optimized done = dropped(
      "  a: {tool: calc}\n"
      "  b: {tool: pay, with: {args: ['{{ steps.a.output }}']}}\n"
      "  c: {value: 1}\n"
      "  d: {tool: put.exec, with: {sql: 'delete from t'}, after: [c]}\n"
      "  e: {tool: calc, on_error: {step: f}}\n"
      "  f: {tool: pay}\n"
      "  g: {wait: {for: 1s}}\n"
      "  h: {plan: pays}\n"
      "  i: {plan: waits}\n"
      "  j: {value: '{{ steps.k.status }}'}\n"
      "  k: {tool: calc}\n"
      "  l: {tool: pay, when: \"{{ steps.k.status == 'done' }}\"}\n"
      "result: 1\n",
      "plans:\n"
      "  pays: {steps: {s: {tool: pay}}}\n"
      "  waits: {steps: {s: {wait: {for: 1s}}}}\n");
  EXPECT_THAT(done.ids(), ElementsAre("a", "b", "c", "d", "e", "f", "g", "h", "i", "k", "l"));
}

TEST(DropDeadSteps, StandInsGoWithTheirStep) {
  const std::string steps = "  a: {tool: calc, on_error: {step: b}}\n  b: {value: 1}\n";
  EXPECT_THAT(dropped(steps + "result: 1\n").ids(), IsEmpty());
  EXPECT_THAT(dropped(steps + "result: '{{ steps.a.output }}'\n").ids(), ElementsAre("a", "b"));
}

TEST(DropDeadSteps, InsideOfSubPlans) {
  Optimized done =
      dropped("  ask: {plan: sub}\n",
              "plans:\n"
              "  sub: {steps: {a: {tool: calc}, b: {value: 1}, c: {tool: pay}}, result: '{{ "
              "steps.b.output }}'}\n"
              "  never: {steps: {a: {tool: calc}}}\n");
  EXPECT_THAT(done.ids("sub"), ElementsAre("b", "c"));
  EXPECT_THAT(done.ids("never"), ElementsAre("a"));
  EXPECT_THAT(done.ids(), ElementsAre("ask"));
  EXPECT_THAT(done.notes()[0], HasSubstr("drop_dead_steps ask/a: "));
}

}  // namespace
}  // namespace sluice
