// merge_equal_steps: what is merged, what reads it afterwards, and what is left alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/optimize/optimizing.h"

namespace sluice {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Optimized merged(std::string_view steps, std::string_view rest = "") {
  return optimize_text(with_tools(steps, rest), {"merge_equal_steps"});
}

TEST(MergeEqualSteps, EqualCallsAreDoneOnce) {
  Optimized done = merged(
      "  a: {llm: default, with: {prompt: 'Name a colour'}}\n"
      "  b: {llm: default, with: {prompt: 'Name a colour'}}\n"
      "  c: {value: '{{ steps.a.output ~ steps.b.output }}'}\n"
      "result: '{{ steps.b.output }} {{ steps.c.output }} {{ steps.b.status }}'\n");
  EXPECT_THAT(done.ids(), ElementsAre("a", "c"));
  EXPECT_EQ(done.step("c"), "value {{ steps.a.output ~ steps.a.output }}");
  EXPECT_THAT(done.text(),
              HasSubstr("{{ steps.a.output }} {{ steps.c.output }} {{ steps.a.status }}"));
  EXPECT_THAT(done.notes(), ElementsAre("merge_equal_steps b: the same as a: done once"));
  EXPECT_THAT(done.physical("a").logical_ids, ElementsAre("a", "b"));
  EXPECT_EQ(done.plan.physical->logical, done.written);
}

TEST(MergeEqualSteps, ToTheEnd) {
  // Merging b makes d equal to c, and that f equal to e.
  Optimized done = merged(
      "  a: {tool: calc, with: {args: [1]}}\n"
      "  b: {tool: calc, with: {args: [1]}}\n"
      "  c: {for_each: '{{ steps.a.output }}', code: 'def main(x): return x', with: {x: '{{ item "
      "}}'}}\n"
      "  d: {for_each: '{{ steps.b.output }}', code: 'def main(x): return x', with: {x: '{{ item "
      "}}'}}\n"
      "  e: {for_each: '{{ steps.c.output }}', value: '{{ item }} {{ steps.c.output[index] }}'}\n"
      "  f: {for_each: '{{ steps.d.output }}', value: '{{ item }} {{ steps.d.output[index] }}'}\n"
      "  g: {for_each: '{{ steps.f.output }}', value: '{{ steps.d.output[index].x }}', after: [b, "
      "a]}\n");
  EXPECT_THAT(done.ids(), ElementsAre("a", "c", "e", "g"));
  EXPECT_EQ(done.step("g"),
            "for_each {{ steps.e.output }}; value {{ steps.c.output[index].x }}; after a");
  const PhysicalStep& flows = done.physical("g");
  EXPECT_NE(flows.items_edge, kNoIndex);
}

TEST(MergeEqualSteps, WrittenInAnyOrder) {
  Optimized done = merged(
      "  d: {value: '{{ steps.b.output + 1 }}'}\n"
      "  c: {value: '{{ steps.a.output + 1 }}'}\n"
      "  b: {tool: calc}\n"
      "  a: {tool: calc}\n");
  EXPECT_THAT(done.ids(), ElementsAre("d", "b"));
  EXPECT_EQ(done.step("d"), "value {{ steps.b.output + 1 }}");
}

TEST(MergeEqualSteps, DifferentInOneThing) {
  const std::string base = "with: {args: [1]}";
  const std::string rows[] = {
      "with: {args: [2]}",
      "with: {args: ['1']}",
      "with: {args: [1]}, when: '{{ params.p == 1 }}'",
      "with: {args: [1]}, for_each: [1]",
      "with: {args: [1]}, output: {type: integer}",
      "with: {args: [1]}, retry: {attempts: 2}",
      "with: {args: [1]}, timeout: 5s",
      "with: {args: [1]}, on_error: skip",
      "with: {args: [1]}, on_error: {value: 1}",
      "with: {args: [1]}, cache: {ttl: 1h}",
      "with: {args: [1]}, budget: {calls: 3}",
      "with: {args: [1]}, concurrency: 3",
      "with: {args: [1]}, after: [z]",
      "with: {args: [1]}, repeat: {until: '{{ output }}', max: 2}",
  };
  for (const std::string& row : rows) {
    Optimized done = merged("  z: {value: 1}\n  a: {tool: calc, " + base + "}\n  b: {tool: calc, " +
                            row + "}\n  c: {tool: calc, " + row + "}\n");
    EXPECT_THAT(done.ids(), ElementsAre("z", "a", "b")) << row;
  }
}

TEST(MergeEqualSteps, OnlyPureOnes) {
  const std::string rows[] = {
      "tool: pay",
      "tool: put.exec, with: {sql: 'delete from t'}",
      "tool: put.query, with: {sql: 'select 1'}",
      "tool: web, with: {path: /x}",
      "llm: default, with: {prompt: hi, temperature: 1}",
      "llm: default, with: {prompt: hi, tools: [pay]}",
      "wait: {for: 1s}",
      "plan: pays",
      "plan: '{{ params.p }}', limits: {operators: [value], steps: 1, tasks: 1}",
  };
  for (const std::string& row : rows) {
    Optimized done = merged("  a: {" + row + "}\n  b: {" + row + "}\n",
                            "plans: {pays: {steps: {s: {tool: pay}}}}\n");
    EXPECT_THAT(done.ids(), ElementsAre("a", "b")) << row;
  }
  const std::string pure[] = {
      "llm: default, with: {prompt: hi, temperature: 1, seed: 7}",
      "llm: default, with: {prompt: hi, tools: [calc]}",
      "plan: adds",
      "tool: lines, with: {args: [x]}",
  };
  for (const std::string& row : pure) {
    Optimized done = merged("  a: {" + row + "}\n  b: {" + row + "}\n",
                            "plans: {adds: {steps: {s: {tool: calc}}, result: 1}}\n");
    EXPECT_THAT(done.ids(), ElementsAre("a")) << row;
  }
}

TEST(MergeEqualSteps, StandInsAreLeftAlone) {
  Optimized done = merged(
      "  a: {tool: calc, on_error: {step: x}}\n"
      "  b: {tool: calc, on_error: {step: y}}\n"
      "  x: {value: 1}\n"
      "  y: {value: 1}\n"
      "  z: {value: 1}\n");
  EXPECT_THAT(done.ids(), ElementsAre("a", "b", "x", "y", "z"));
}

TEST(MergeEqualSteps, JoinsOfACommonReader) {
  const std::string steps =
      "  a: {when: '{{ params.p == 1 }}', tool: calc}\n"
      "  b: {when: '{{ params.p == 1 }}', tool: calc}\n";
  Optimized alike = merged(
      steps +
      "  c: {value: '{{ [steps.a.output, steps.b.output] }}', join: {a: {skipped: {value: 0}}, b: "
      "{skipped: {value: 0}}}}\n");
  EXPECT_THAT(alike.ids(), ElementsAre("a", "c"));
  EXPECT_EQ(alike.step("c"), "value {{ [steps.a.output, steps.a.output] }}; join a skipped 0");
  Optimized apart = merged(
      steps +
      "  c: {value: '{{ [steps.a.output, steps.b.output] }}', join: {a: {skipped: {value: 0}}, b: "
      "{skipped: {value: 1}}}}\n");
  EXPECT_THAT(apart.ids(), ElementsAre("a", "b", "c"));
  EXPECT_THAT(apart.notes(), ElementsAre(HasSubstr("refused b: the same as a, but c does not")));
  // One that reads only the second brings its join along.
  Optimized second =
      merged(steps + "  c: {value: '{{ steps.b.output }}', join: {b: {skipped: {value: 0}}}}\n");
  EXPECT_EQ(second.step("c"), "value {{ steps.a.output }}; join a skipped 0");
}

TEST(MergeEqualSteps, InsideOfSubPlans) {
  Optimized done = merged(
      "  ask: {for_each: [1, 2], plan: sub, with: {x: '{{ item }}'}}\n"
      "result: '{{ steps.ask.output }}'\n",
      "plans:\n"
      "  sub:\n"
      "    params: {x: {}}\n"
      "    steps:\n"
      "      a: {tool: calc, with: {args: ['{{ params.x }}']}}\n"
      "      b: {tool: calc, with: {args: ['{{ params.x }}']}}\n"
      "      c: {value: '{{ steps.a.output ~ steps.b.output }}'}\n"
      "    result: '{{ steps.c.output }}'\n");
  EXPECT_THAT(done.ids("sub"), ElementsAre("a", "c"));
  EXPECT_THAT(done.notes(), ElementsAre("merge_equal_steps ask/b: the same as a: done once"));
  EXPECT_THAT(done.physical("ask/a").logical_ids, ElementsAre("a", "b"));
  // Scopes know the plans as they were written.
  EXPECT_EQ(done.physical("ask").plan->logical, *done.written->find_plan("sub"));
  EXPECT_EQ(done.plan.physical->logical, done.written);
}

TEST(MergeEqualSteps, ManyReadersAreRewrittenAtOnce) {
  std::string steps = "  a0: {tool: calc}\n";
  std::string sum = "steps.a0.output";
  for (int i = 1; i < 200; ++i) {
    steps += fmt::format("  a{}: {{tool: calc}}\n", i);
    sum += fmt::format(" + steps.a{}.output", i);
  }
  Optimized done = merged(steps + "  all: {value: '{{ [" + sum + "] | length }}'}\n");
  EXPECT_THAT(done.ids(), ElementsAre("a0", "all"));
  EXPECT_EQ(done.physical("a0").logical_ids.size(), 200u);
}

}  // namespace
}  // namespace sluice
