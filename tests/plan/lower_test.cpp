// Lowering: edges, flow against wait, windows, order, ranks, effects, resources, hashes.
#include "plan/lower.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plan/describe.h"
#include "plan/parse.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;

PhysicalPlanPtr lower_steps(std::string_view steps, std::string_view rest = "") {
  ParsedPlan parsed = parse_plan(
      "sluice: 1\nparams: {p: {}}\ntools:\n"
      "  pay: {kind: process, command: pay, concurrency: 2}\n"
      "  tail: {kind: process, command: tail, stdout: lines, effect: read}\n"
      "  web: {kind: http, url: 'http://h'}\n"
      "  post: {kind: http, url: 'http://h', method: POST}\n"
      "  db: {kind: sql, functions: {exec: {effect: idempotent}}}\n"
      "models: {small: {kind: embedded, file: m, concurrency: 3}}\n" +
          std::string(rest) + "steps:\n" + std::string(steps),
      "p");
  for (const auto& each : parsed.diagnostics.all()) ADD_FAILURE() << format_diagnostic(each, {"p"});
  auto tools = catalog_of(*parsed.plan);
  auto physical = lower_plan(parsed.plan, *tools);
  if (!physical) {
    ADD_FAILURE() << physical.error().to_string();
    return nullptr;
  }
  return *physical;
}

const PhysicalStep& step(const PhysicalPlan& plan, std::string_view id) {
  for (const PhysicalStep& each : plan.steps) {
    if (each.logical.id == id) return each;
  }
  throw std::runtime_error("no step");
}

std::vector<std::string> edges(const PhysicalPlan& plan, std::string_view id) {
  std::vector<std::string> all;
  for (const Edge& edge : step(plan, id).edges) {
    all.push_back(plan.steps[edge.from].logical.id + " " + std::string(edge_mode_name(edge.mode)) +
                  " " + std::string(edge_use_name(edge.use)) + (edge.windowed ? " windowed" : ""));
  }
  return all;
}

TEST(Lower, ForEachOverSlotsFlows) {
  auto plan = lower_steps(
      "  one: {value: [1, 2]}\n  map: {for_each: '{{ steps.one.output }}', value: '{{ item }}'}\n"
      "  flow: {for_each: '{{ steps.map.output }}', value: '{{ item }}'}\n"
      "  wait: {for_each: '{{ steps.map.output | present }}', value: '{{ item }}'}\n"
      "  lines: {tool: tail}\n  each: {for_each: '{{ steps.lines.output }}', value: '{{ item "
      "}}'}\n");
  EXPECT_THAT(edges(*plan, "map"), ElementsAre("one whole items"));
  EXPECT_TRUE(step(*plan, "map").for_each);
  EXPECT_THAT(edges(*plan, "flow"), ElementsAre("map slot items windowed"));
  EXPECT_EQ(step(*plan, "flow").items_edge, 0U);
  EXPECT_FALSE(step(*plan, "flow").for_each);
  EXPECT_THAT(edges(*plan, "wait"), ElementsAre("map whole items"));
  EXPECT_THAT(edges(*plan, "each"), ElementsAre("lines slot items windowed"));
  EXPECT_TRUE(step(*plan, "lines").streams);
}

TEST(Lower, SlotReadsOfMappedAndOfSingleSteps) {
  auto plan = lower_steps(
      "  one: {value: [1, 2]}\n  map: {for_each: '{{ steps.one.output }}', value: '{{ item }}'}\n"
      "  r: {for_each: '{{ steps.one.output }}', value: '{{ [steps.map.output[index], "
      "steps.one.output[index]] }}'}\n");
  EXPECT_THAT(edges(*plan, "r"), ElementsAre("one whole items", "map slot body windowed"));
  const PhysicalStep& r = step(*plan, "r");
  ASSERT_EQ(r.body.leaf_inputs.size(), 1U);
  std::vector<bool> into;
  for (std::uint32_t input : r.body.leaf_inputs[0]) into.push_back(r.inputs[input].index_into);
  EXPECT_THAT(into, ElementsAre(false, true));
}

TEST(Lower, UsesAndModes) {
  auto plan = lower_steps(
      "  a: {value: true}\n  b: {value: 1}\n  c: {value: 1}\n"
      "  r: {when: '{{ steps.a.output }}', value: '{{ [steps.a.output, steps.b.status] }}', after: "
      "[c], repeat: {until: '{{ steps.b.output == round }}', max: 2}}\n");
  EXPECT_THAT(edges(*plan, "r"),
              ElementsAre("a whole when", "b status body", "b whole body", "c order body"));
  EXPECT_THAT(step(*plan, "a").consumers, ElementsAre(3U));
}

TEST(Lower, AWindowIsLeftOutWhereItCouldBlock) {
  // total waits for all of map; the reader of both may not hold map back.
  auto plan = lower_steps(
      "  map: {for_each: [1, 2], value: '{{ item }}'}\n  total: {value: '{{ steps.map.output | sum "
      "}}'}\n"
      "  share: {for_each: '{{ steps.map.output }}', value: '{{ item / steps.total.output }}'}\n");
  EXPECT_THAT(edges(*plan, "share"), ElementsAre("map slot items", "total whole body"));
  // The same over one more step: share waits for total, total for all of map, map for mid's window.
  auto longer = lower_steps(
      "  map: {for_each: [1, 2], value: '{{ item }}'}\n  total: {value: '{{ steps.map.output | sum "
      "}}'}\n"
      "  mid: {for_each: '{{ steps.map.output }}', value: '{{ item }}'}\n"
      "  share: {for_each: '{{ steps.mid.output }}', value: '{{ item / steps.total.output }}'}\n"
      "  other: {for_each: '{{ steps.share.output }}', value: '{{ item }}'}\n");
  EXPECT_THAT(edges(*longer, "mid"), ElementsAre("map slot items"));
  EXPECT_THAT(edges(*longer, "share"), ElementsAre("mid slot items", "total whole body"));
  EXPECT_THAT(edges(*longer, "other"), ElementsAre("share slot items windowed"));
}

TEST(Lower, AFallbacksWaitsCountForItsStep) {
  auto plan = lower_steps(
      "  map: {for_each: [1, 2], value: '{{ item }}'}\n"
      "  pays: {for_each: '{{ steps.map.output }}', tool: pay, on_error: {step: f}}\n"
      "  f: {value: '{{ [steps.map.output, item, index, error] }}'}\n"
      "  g: {for_each: '{{ steps.pays.output }}', value: '{{ item }}'}\n");
  EXPECT_THAT(edges(*plan, "pays"), ElementsAre("map slot items"));
  EXPECT_THAT(edges(*plan, "g"), ElementsAre("pays slot items windowed"));
  EXPECT_EQ(plan->steps[step(*plan, "pays").fallback].logical.id, "f");
  EXPECT_EQ(plan->steps[step(*plan, "f").fallback_of].logical.id, "pays");
  EXPECT_TRUE(step(*plan, "f").consumers.empty());
  EXPECT_EQ(step(*plan, "f").rank, step(*plan, "pays").rank);
}

TEST(Lower, OrderAndRanks) {
  auto plan = lower_steps(
      "  z: {value: '{{ [steps.m.output, steps.a.output] }}'}\n  m: {value: '{{ steps.a.output "
      "}}'}\n"
      "  a: {value: 1}\n  lone: {value: 2}\n");
  std::vector<std::string> order;
  std::vector<std::uint32_t> ranks;
  for (const PhysicalStep& each : plan->steps) {
    order.push_back(each.logical.id);
    ranks.push_back(each.rank);
  }
  EXPECT_THAT(order, ElementsAre("a", "m", "z", "lone"));
  EXPECT_THAT(ranks, ElementsAre(2U, 1U, 0U, 0U));
}

TEST(Lower, EffectsAndResources) {
  auto plan = lower_steps(
      "  v: {value: 1}\n  c: {code: 'def main(): pass'}\n  p: {tool: pay}\n  w: {tool: web}\n"
      "  o: {tool: post}\n  q: {tool: db.query, with: {sql: x}}\n  e: {tool: db.exec, with: {sql: "
      "x}}\n"
      "  g: {llm: small, with: {prompt: x}}\n  s: {llm: default, with: {prompt: x, temperature: "
      "1}}\n"
      "  d: {llm: default, with: {prompt: x, temperature: 1, seed: 4}}\n"
      "  t: {llm: default, with: {prompt: x, tools: [db.query, pay]}}\n  sub: {plan: inner}\n",
      "plans: {inner: {steps: {x: {tool: db.exec, with: {sql: x}}}}}\n");
  std::map<std::string, std::string> seen;
  for (const PhysicalStep& each : plan->steps) {
    seen[each.logical.id] = std::string(effect_name(each.effect)) + " " + each.resource + " " +
                            std::to_string(each.resource_limit);
  }
  std::map<std::string, std::string> expected = {{"v", "pure  0"},
                                                 {"c", "pure code 0"},
                                                 {"p", "once tool:pay.run 2"},
                                                 {"w", "read tool:web.request 8"},
                                                 {"o", "once tool:post.request 8"},
                                                 {"q", "read tool:db.query 8"},
                                                 {"e", "idempotent tool:db.exec 8"},
                                                 {"g", "pure model:small 3"},
                                                 {"s", "read model:default 0"},
                                                 {"d", "pure model:default 0"},
                                                 {"t", "once model:default 0"},
                                                 {"sub", "idempotent  0"}};
  EXPECT_EQ(seen, expected);
  ASSERT_TRUE(step(*plan, "sub").plan);
  EXPECT_EQ(step(*plan, "sub").plan->steps.size(), 1U);
  EXPECT_TRUE(step(*plan, "v").batch_safe);
  EXPECT_FALSE(step(*plan, "c").batch_safe);
}

TEST(Lower, HashesKeepTheMeaning) {
  auto plan = lower_steps(
      "  a: {value: '{{ params.p }}'}\n  b: {value: '{{ params.p }}'}\n  c: {value: '{{ params.p + "
      "1 }}'}\n"
      "  d: {tool: pay, with: {stdin: x}}\n  e: {tool: web, with: {path: x}}\n");
  EXPECT_EQ(step(*plan, "a").step_hash, step(*plan, "b").step_hash);
  EXPECT_NE(step(*plan, "a").step_hash, step(*plan, "c").step_hash);
  EXPECT_NE(step(*plan, "d").step_hash, step(*plan, "e").step_hash);
  EXPECT_NE(result_key(plan->steps[0], Value::integer(1)),
            result_key(plan->steps[0], Value::integer(2)));
  EXPECT_EQ(result_key(plan->steps[0], Value::integer(1)),
            result_key(step(*plan, "b"), Value::integer(1)));
}

TEST(Lower, ResultReadsEverythingItNames) {
  auto plan =
      lower_steps("  a: {for_each: [1], value: 1}\n  b: {value: 1}\n",
                  "result: ['{{ steps.a.output }}', '{{ [steps.b.status, run.id, params.p] }}']\n");
  ASSERT_EQ(plan->result_edges.size(), 2U);
  EXPECT_EQ(plan->result_edges[0].mode, EdgeMode::kWhole);
  EXPECT_EQ(plan->result_edges[1].mode, EdgeMode::kStatus);
  EXPECT_EQ(plan->result_inputs.size(), 4U);
}

TEST(Lower, ManyUsesOfNestedPlansCostNoMoreThanOne) {
  std::string text = "value: 1";
  std::string plan = "{steps: {x: {value: 1}}}";
  for (int level = 0; level < 12; ++level) {
    std::string steps;
    for (int i = 0; i < 10; ++i) steps += "s" + std::to_string(i) + ": {plan: n}, ";
    plan = "{plans: {n: " + plan + "}, steps: {" + steps + "}}";
  }
  auto lowered = lower_steps("  a: {plan: top}\n", "plans: {top: " + plan + "}\n");
  EXPECT_TRUE(lowered);
}

TEST(Lower, TenThousandStepsInARow) {
  std::string steps = "  s0: {value: 1}\n";
  for (int i = 1; i < 10'000; ++i) {
    steps += "  s" + std::to_string(i) + ": {value: '{{ steps.s" + std::to_string(i - 1) +
             ".output + 1 }}'}\n";
  }
  auto plan = lower_steps(steps);
  EXPECT_EQ(plan->steps[0].rank, 9'999U);
}

}  // namespace
}  // namespace sluice
