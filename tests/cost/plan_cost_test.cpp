// Estimates of plans: rows along their edges, conditions, tokens, seconds, money, paths.
#include "cost/plan_cost.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "cost/conditions.h"
#include "cost/prompt_tokens.h"
#include "data/json.h"
#include "plan/lower.h"
#include "plan/parse.h"
#include "plan/tool_catalog.h"

namespace sluice {
namespace {

constexpr const char* kHead =
    "sluice: 1\n"
    "params: {rows: {type: array, default: []}, top: {type: integer, default: 3}}\n"
    "tools:\n"
    "  web: {kind: http, url: 'http://h', concurrency: 4}\n"
    "  tail: {kind: process, command: tail, stdout: lines, effect: read}\n";

PhysicalPlanPtr plan_of(const std::string& steps, const std::string& head = kHead) {
  ParsedPlan parsed = parse_plan(head + steps, "test.yaml");
  for (const auto& each : parsed.diagnostics.all()) {
    ADD_FAILURE() << format_diagnostic(each, {"test.yaml"});
  }
  auto lowered = lower_plan(parsed.plan, *catalog_of(*parsed.plan));
  if (!lowered) ADD_FAILURE() << lowered.error().to_string();
  return lowered ? *lowered : nullptr;
}

const PhysicalStep& step_of(const PhysicalPlan& plan, std::string_view id) {
  for (const PhysicalStep& step : plan.steps) {
    if (step.logical.id == id) return step;
  }
  throw std::runtime_error("no such step");
}

std::size_t index_in(const PhysicalPlan& plan, std::string_view id) {
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    if (plan.steps[i].logical.id == id) return i;
  }
  throw std::runtime_error("no such step");
}

class Kept final : public StatisticsStore {
 public:
  std::optional<StepStatistics> find(const Hash256& step) const override {
    const auto found = table.find(step);
    return found == table.end() ? std::nullopt : std::optional(found->second);
  }
  void add(const StatisticsTable&) override {}
  std::string problem() const override { return ""; }

  StatisticsTable table;
};

class PlanCost : public testing::Test {
 protected:
  PlanEstimate estimate(double rows = 1) {
    CostInputs with = inputs;
    with.history = &history;
    with.params = &params;
    return estimate_plan(*plan, with, rows);
  }
  StepEstimate step(std::string_view id) {
    const PlanEstimate made = estimate();
    const StepEstimate* found = made.find(id);
    if (found == nullptr) throw std::runtime_error("no estimate of " + std::string(id));
    return *found;
  }
  StepStatistics& seen(std::string_view id) { return history.table[step_of(*plan, id).step_hash]; }

  PhysicalPlanPtr plan;
  CostInputs inputs;
  Kept history;
  Value params = Value::object({});
};

void expect_exact(const Estimate& estimate, double value) {
  EXPECT_DOUBLE_EQ(estimate.middle, value);
  EXPECT_DOUBLE_EQ(estimate.low, value);
  EXPECT_DOUBLE_EQ(estimate.high, value);
  EXPECT_EQ(estimate.source, EstimateSource::kExact);
}

TEST_F(PlanCost, RowsFollowFromWhatIsGiven) {
  plan = plan_of(
      "steps:\n"
      "  one: {value: [1, 2, 3]}\n"
      "  all: {for_each: '{{ steps.one.output }}', value: '{{ item }}'}\n"
      "  flow: {for_each: '{{ steps.all.output }}', tool: web, with: {path: '/{{ item }}'}}\n"
      "  given: {for_each: '{{ params.rows }}', value: '{{ item }}'}\n"
      "  first: {for_each: '{{ params.rows[:2] }}', value: '{{ item }}'}\n"
      "  some: {for_each: '{{ steps.flow.output | present }}', value: '{{ item }}'}\n"
      "  page: {tool: web}\n"
      "  each: {for_each: '{{ steps.page.output }}', value: '{{ item }}'}\n");
  params = *parse_json(R"({"rows":[1,2,3,4,5]})");
  expect_exact(step("one").rows, 1);
  expect_exact(step("all").rows, 3);
  expect_exact(step("flow").rows, 3);
  expect_exact(step("flow").calls, 3);
  expect_exact(step("given").rows, 5);
  expect_exact(step("first").rows, 2);
  EXPECT_DOUBLE_EQ(step("some").rows.middle, 3);
  EXPECT_EQ(step("some").rows.source, EstimateSource::kDefault);
  EXPECT_DOUBLE_EQ(step("each").rows.middle, cost_defaults().items);
  const PlanConditions conditions = conditions_of(*plan);
  history.table[conditions.steps.back().items].items.add(40, 5);
  EXPECT_NEAR(step("each").rows.middle, 40, 1);
  EXPECT_EQ(step("each").rows.source, EstimateSource::kHistory);
  inputs.items["each"] = 7;
  expect_exact(step("each").rows, 7);
}

TEST_F(PlanCost, AStreamGivesWhatItGaveBefore) {
  plan = plan_of(
      "steps:\n  lines: {tool: tail}\n"
      "  each: {for_each: '{{ steps.lines.output }}', tool: web}\n");
  EXPECT_DOUBLE_EQ(step("each").rows.middle, cost_defaults().items);
  seen("lines").items.add(25);
  EXPECT_NEAR(step("each").rows.middle, 25, 1);
  inputs.items["lines"] = 600;
  expect_exact(step("each").rows, 600);
}

constexpr const char* kFiltered =
    "steps:\n"
    "  a: {for_each: '{{ params.rows }}', tool: web, with: {path: /a}}\n"
    "  b: {for_each: '{{ params.rows }}', tool: web, with: {path: /b}}\n"
    "  c: {for_each: '{{ params.rows }}', when: '{{ steps.a.output[index].x and "
    "steps.b.output[index].y }}', tool: web, with: {path: /c}}\n"
    "  d: {for_each: '{{ steps.c.output }}', tool: web, with: {path: '{{ item.u }}'}}\n";

TEST_F(PlanCost, ConditionsTakeRowsAway) {
  plan = plan_of(kFiltered);
  params = Value::object({{"rows", Value::array(std::vector<Value>(100, Value::integer(1)))}});
  const StepEstimate c = step("c");
  expect_exact(c.rows, 100);
  ASSERT_EQ(c.conjuncts.size(), 2U);
  EXPECT_DOUBLE_EQ(c.conjuncts[0].middle, 0.5);
  EXPECT_DOUBLE_EQ(c.selectivity.middle, 0.25);
  EXPECT_DOUBLE_EQ(c.calls.middle, 25);
  EXPECT_EQ(c.calls.source, EstimateSource::kDefault);
  expect_exact(step("d").rows, 100);
  EXPECT_DOUBLE_EQ(step("d").calls.middle, 25) << "a skipped slot skips its reader";
  EXPECT_LT(c.calls.low, 25);
  EXPECT_GT(c.calls.high, 25);
}

TEST_F(PlanCost, ConditionsAreRememberedByTheirMeaning) {
  plan = plan_of(kFiltered);
  params = Value::object({{"rows", Value::array(std::vector<Value>(100, Value::integer(1)))}});
  const PlanConditions conditions = conditions_of(*plan);
  const StepConditions& of_c = conditions.steps[2];
  ASSERT_EQ(of_c.fresh.size(), 2U);
  // Both were seen together only: each has its part of it.
  history.table[of_c.together].conditions = 9998;
  history.table[of_c.together].held = 1600;
  EXPECT_NEAR(step("c").conjuncts[0].middle, 0.4, 0.01);
  EXPECT_NEAR(step("c").calls.middle, 16, 0.2);
  EXPECT_EQ(step("c").selectivity.source, EstimateSource::kHistory);
  // One was seen alone.
  history.table[conditions.keys[of_c.own[0]]].conditions = 9998;
  history.table[conditions.keys[of_c.own[0]]].held = 9998 / 10;
  EXPECT_NEAR(step("c").conjuncts[0].middle, 0.1, 0.01);
  // The same under other names.
  const PhysicalPlanPtr renamed = plan_of(
      "steps:\n"
      "  q: {for_each: '{{ params.rows }}', tool: web, with: {path: /b}}\n"
      "  p: {for_each: '{{ params.rows }}', tool: web, with: {path: /a}}\n"
      "  r: {for_each: '{{ params.rows }}', when: '{{ steps.p.output[index].x }}', tool: web, "
      "with: {path: /z}}\n");
  EXPECT_EQ(conditions_of(*renamed).steps[2].together, conditions.keys[of_c.own[0]]);
  // Of other rows it is another condition.
  const PhysicalPlanPtr elsewhere = plan_of(
      "steps:\n"
      "  p: {for_each: '{{ params.rows[:9] }}', tool: web, with: {path: /a}}\n"
      "  r: {for_each: '{{ params.rows[:9] }}', when: '{{ steps.p.output[index].x }}', tool: web, "
      "with: {path: /z}}\n");
  EXPECT_NE(conditions_of(*elsewhere).steps[1].together, conditions.keys[of_c.own[0]]);
}

// As early_conditions leaves a plan: what is asked again further down counts once.
TEST_F(PlanCost, AConditionThatIsStatedTwiceCountsOnce) {
  plan = plan_of(
      "steps:\n"
      "  a: {for_each: '{{ params.rows }}', when: '{{ item > 3 }}', tool: web, with: {path: /a}}\n"
      "  b: {for_each: '{{ params.rows }}', when: '{{ item > 3 and steps.a.output[index].x }}', "
      "tool: web, with: {path: /b}}\n");
  const PlanConditions conditions = conditions_of(*plan);
  ASSERT_EQ(conditions.keys.size(), 2U);
  EXPECT_EQ(conditions.steps[1].own.size(), 2U);
  ASSERT_EQ(conditions.steps[1].fresh.size(), 1U) << "`item > 3` held for `a` already";
  EXPECT_EQ(conditions.steps[1].together, conditions.keys[conditions.steps[1].fresh[0]]);
  params = *parse_json(R"({"rows":[1,2,3,4,5,6,7,8]})");
  expect_exact(step("a").selectivity, 5.0 / 8);
  expect_exact(step("a").calls, 5);
  EXPECT_DOUBLE_EQ(step("b").calls.middle, 2.5);
}

TEST_F(PlanCost, AConditionOnWhatIsGivenIsExact) {
  plan = plan_of(
      "steps:\n"
      "  yes: {when: '{{ params.top > 2 }}', tool: web}\n"
      "  no: {when: '{{ params.top > 3 }}', tool: web}\n"
      "  never: {when: '{{ false }}', tool: web}\n");
  params = *parse_json(R"({"top":3})");
  expect_exact(step("yes").calls, 1);
  expect_exact(step("no").calls, 0);
  expect_exact(step("never").calls, 0);
}

TEST_F(PlanCost, ATableGivesWhatItsConditionLetsThrough) {
  params = Value::object({{"rows", Value::array(std::vector<Value>(40, Value::integer(1)))}});
  plan = plan_of(
      "steps:\n"
      "  kept: {table: {from: '{{ params.rows }}', where: '{{ row.n > 3 and row.s == 1 }}'}}\n"
      "  some: {table: {from: '{{ steps.kept.output }}', limit: 4}}\n"
      "  sums: {table: {from: '{{ params.rows }}', group: {by: {n: '{{ row.n }}'}, give: {c: '{{ "
      "rows "
      "| length }}'}}}}\n"
      "  each: {for_each: '{{ steps.kept.output }}', tool: web, with: {path: x}}\n"
      "  first: {for_each: '{{ steps.some.output[:9] }}', tool: web, with: {path: x}}\n");
  EXPECT_DOUBLE_EQ(step("kept").rows.middle, 1);
  ASSERT_TRUE(step("kept").gives);
  EXPECT_DOUBLE_EQ(step("kept").gives->middle, 10);
  EXPECT_EQ(step("kept").gives->source, EstimateSource::kDefault);
  EXPECT_DOUBLE_EQ(step("each").rows.middle, 10);
  EXPECT_DOUBLE_EQ(step("some").gives->middle, 4);
  EXPECT_DOUBLE_EQ(step("first").rows.middle, 4);
  EXPECT_DOUBLE_EQ(step("sums").gives->middle, 10);
  EXPECT_FALSE(step("each").gives);
  // What was seen of the list that the table gave goes first.
  const Hash256 meaning = conditions_of(*plan).steps[index_in(*plan, "each")].items;
  for (int i = 0; i < 20; ++i) history.table[meaning].items.add(7);
  EXPECT_NEAR(step("each").rows.middle, 7, 0.5);
  EXPECT_NEAR(step("kept").gives->middle, 7, 0.5);
  EXPECT_EQ(step("kept").gives->source, EstimateSource::kHistory);
}

// What the map asks of its rows already is not asked of them again.
TEST_F(PlanCost, ATableAsksWhatItsRowsWereAskedOnce) {
  std::vector<Value> rows(20, *parse_json(R"({"n": 1})"));
  rows.resize(40, *parse_json(R"({"n": 5})"));
  params = Value::object({{"rows", Value::array(rows)}});
  const std::string written =
      "  kept: {table: {from: '{{ steps.told.output | present }}', where: '{{ row.n > 3 }}'}}\n";
  plan = plan_of("steps:\n  told: {for_each: '{{ params.rows }}', value: {n: '{{ item.n }}'}}\n" +
                 written);
  EXPECT_DOUBLE_EQ(step("kept").gives->middle, 20);
  plan = plan_of(
      "steps:\n  told: {for_each: '{{ params.rows }}', when: '{{ (item.n > 3) is possible }}', "
      "value: {n: '{{ item.n }}'}}\n" +
      written);
  EXPECT_DOUBLE_EQ(step("kept").gives->middle, 20);
}

TEST_F(PlanCost, WhatWasSeenToFailTakesRowsAway) {
  plan = plan_of(
      "steps:\n"
      "  a: {for_each: '{{ params.rows }}', tool: web, with: {path: /a}, on_error: skip}\n"
      "  b: {for_each: '{{ steps.a.output }}', tool: web, with: {path: /b}}\n");
  params = Value::object({{"rows", Value::array(std::vector<Value>(100, Value::integer(1)))}});
  expect_exact(step("b").calls, 100);
  EXPECT_DOUBLE_EQ(step("a").failure.middle, cost_defaults().failure);
  seen("a").tasks = 1990;
  seen("a").failed = 500;
  EXPECT_NEAR(step("a").failure.middle, 0.25, 0.01);
  EXPECT_EQ(step("a").failure.source, EstimateSource::kHistory);
  EXPECT_NEAR(step("b").calls.middle, 75, 1);
}

TEST_F(PlanCost, CallsOfHistory) {
  plan = plan_of("steps:\n  a: {for_each: '{{ params.rows }}', tool: web, with: {path: /a}}\n");
  params = Value::object({{"rows", Value::array(std::vector<Value>(100, Value::integer(1)))}});
  StepStatistics& a = seen("a");
  a.tasks = 100;
  a.calls = 90;  // of 120 that were asked for: retries, and a quarter equal
  a.cached = a.equal_calls = 30;
  for (int i = 0; i < 90; ++i) a.seconds.add(i % 2 == 0 ? 0.1 : 0.3);
  EXPECT_DOUBLE_EQ(step("a").calls.middle, 120) << "nothing shares them in this plan";
  EXPECT_DOUBLE_EQ(step("a").distinct.middle, 0.75);
  auto advised = std::make_shared<PhysicalPlan>(*plan);
  advised->steps[0].advice.share_equal = true;
  plan = advised;
  EXPECT_DOUBLE_EQ(step("a").calls.middle, 90);
  EXPECT_NEAR(step("a").call_s.middle, 0.2, 1e-9);
  EXPECT_NEAR(step("a").call_s.low, 0.1, 0.01);
  EXPECT_NEAR(step("a").busy_s.middle, 18, 1e-6);
  EXPECT_GT(step("a").busy_s.low, 14) << "sums of many vary less than one";
}

// ---- tokens and money ----

constexpr const char* kAsk =
    "steps:\n"
    "  ask:\n"
    "    for_each: '{{ params.rows }}'\n"
    "    llm: default\n"
    "    with:\n"
    "      max_tokens: 20\n"
    "      messages:\n"
    "        - {role: system, content: 'You sort packages.'}\n"
    "        - {role: user, content: 'Is {{ item.name }} new?'}\n"
    "    output: {type: boolean}\n";

TEST_F(PlanCost, PromptsAreCountedWithTheModelsTokenizer) {
  plan = plan_of(kAsk);
  ModelCost model;
  model.count_tokens = [](std::string_view text) { return text.size(); };  // a token a byte
  inputs.models["default"] = model;
  params = *parse_json(R"({"rows":[{"name":"ab"},{"name":"abcd"}]})");
  const double fixed = 2 * cost_defaults().message_tokens + 3;
  const StepEstimate known = step("ask");
  // "You sort packages." has 18, "Is ab new?" 10 and "Is abcd new?" 12.
  EXPECT_DOUBLE_EQ(known.prompt_tokens.middle, 18 + 11 + fixed);
  EXPECT_DOUBLE_EQ(known.prompt_tokens.low, 18 + 10 + fixed);
  EXPECT_DOUBLE_EQ(known.prompt_tokens.high, 18 + 12 + fixed);
  EXPECT_EQ(known.prompt_tokens.source, EstimateSource::kExact);
  params = Value::object({});
  const StepEstimate unknown = step("ask");
  EXPECT_DOUBLE_EQ(unknown.prompt_tokens.middle, 18 + 8 + cost_defaults().input_tokens + fixed);
  EXPECT_EQ(unknown.prompt_tokens.source, EstimateSource::kDefault);
  EXPECT_LE(unknown.completion_tokens.middle, 20) << "max_tokens";
  EXPECT_LE(unknown.completion_tokens.middle, 5) << "a boolean is short";
  seen("ask").prompt_tokens.add(77, 10);
  seen("ask").completion_tokens.add(3, 10);
  EXPECT_NEAR(step("ask").prompt_tokens.middle, 77, 1e-9);
  EXPECT_NEAR(step("ask").completion_tokens.middle, 3, 1e-9);
  EXPECT_EQ(step("ask").prompt_tokens.source, EstimateSource::kHistory);
}

TEST_F(PlanCost, FixedTextOfTemplates) {
  const FixedText fixed = fixed_text("ab{{ x }}cd{% if y %}e{% endif %}");
  EXPECT_EQ(fixed.text, "abcde");
  EXPECT_EQ(fixed.holes, 3U);
  EXPECT_EQ(fixed.front, 2U);
  EXPECT_EQ(fixed_text("plain").front, 5U);
  EXPECT_EQ(fixed_text("open {{ x").text, "open ");
  EXPECT_EQ(fixed_text("{").text, "{");
  EXPECT_EQ(fixed_text("{{").holes, 1U);
}

TEST_F(PlanCost, AnswersAreAsLongAsTheirSchemasWant) {
  EXPECT_EQ(answer_tokens(*parse_json(R"({"type":"boolean"})")), 2);
  EXPECT_LT(*answer_tokens(*parse_json(R"({"enum":["yes","no"]})")), 10);
  const auto small =
      answer_tokens(*parse_json(R"({"type":"object","properties":{"a":{"type":"boolean"}}})"));
  const auto large = answer_tokens(*parse_json(
      R"({"type":"object","properties":{"a":{"type":"boolean"},"b":{"type":"string"}}})"));
  ASSERT_TRUE(small && large);
  EXPECT_LT(*small, *large);
  EXPECT_FALSE(answer_tokens(*parse_json(R"({"type":"string"})")));
}

TEST_F(PlanCost, MoneyIsTokensByPrice) {
  plan = plan_of(kAsk);
  inputs.models["default"] = {.usd_per_prompt_token = 1e-6, .usd_per_completion_token = 4e-6};
  params = Value::object({{"rows", Value::array(std::vector<Value>(1000, Value::object({})))}});
  seen("ask").prompt_tokens.add(500, 10);
  seen("ask").completion_tokens.add(25, 10);
  EXPECT_NEAR(step("ask").usd.middle, 1000 * (500e-6 + 100e-6), 1e-9);
  const PlanEstimate all = estimate();
  EXPECT_NEAR(all.usd.middle, 0.6, 1e-9);
  EXPECT_NEAR(all.prompt_tokens.middle, 500'000, 1);
  EXPECT_NEAR(all.completion_tokens.middle, 25'000, 1);
  EXPECT_DOUBLE_EQ(all.calls.middle, 1000);
}

// What earlier runs paid is kept with their tokens, and prices change.
TEST_F(PlanCost, TokensOfHistoryCostWhatTheyCostToday) {
  plan = plan_of(kAsk);
  params = Value::object({{"rows", Value::array(std::vector<Value>(10, Value::object({})))}});
  StepStatistics& before = seen("ask");
  before.prompt_tokens.add(500, 10);
  before.completion_tokens.add(25, 10);
  before.calls = 10;
  before.usd = 100;  // ten dollars a call
  inputs.models["default"] = {.usd_per_prompt_token = 1e-6, .usd_per_completion_token = 4e-6};
  EXPECT_NEAR(step("ask").usd.middle, 10 * (500e-6 + 100e-6), 1e-9);
  inputs.models["default"] = {};
  EXPECT_EQ(step("ask").usd.middle, 0) << "a model without a price costs nothing today";
  inputs.models.clear();
  EXPECT_NEAR(step("ask").usd.middle, 100, 1e-9)
      << "nothing is known of the model but what was paid";
}

// ---- time ----

TEST_F(PlanCost, AChainTakesTheSumAndAMapItsShare) {
  plan = plan_of(
      "steps:\n"
      "  a: {tool: web, with: {path: /a}}\n"
      "  b: {tool: web, with: {path: '{{ steps.a.output.u }}'}}\n"
      "  c: {tool: web, with: {path: '{{ steps.b.output.u }}'}}\n"
      "  side: {tool: web, with: {path: /side}}\n");
  for (const char* id : {"a", "b", "c"}) seen(id).seconds.add(2, 20);
  seen("side").seconds.add(1, 20);
  const PlanEstimate chain = estimate();
  EXPECT_GE(chain.seconds.middle, 6);
  EXPECT_LT(chain.seconds.middle, 6.9);
  EXPECT_NEAR(chain.find("a")->remaining_s, 6, 1e-9);
  EXPECT_NEAR(chain.find("c")->remaining_s, 2, 1e-9);
  EXPECT_TRUE(chain.find("a")->critical && chain.find("b")->critical && chain.find("c")->critical);
  EXPECT_FALSE(chain.find("side")->critical);

  plan = plan_of("steps:\n  m: {for_each: '{{ params.rows }}', tool: web, with: {path: /m}}\n");
  params = Value::object({{"rows", Value::array(std::vector<Value>(400, Value::integer(1)))}});
  seen("m").seconds.add(0.1, 50);
  const PlanEstimate map = estimate();
  EXPECT_GE(map.seconds.middle, 10) << "four at a time";
  EXPECT_LT(map.seconds.middle, 10.2);
}

TEST_F(PlanCost, WholeListsAreBarriersAndSlotsFlow) {
  const std::string two =
      "  a: {for_each: '{{ params.rows }}', tool: web, with: {path: /a}}\n"
      "  b: {for_each: '{{ steps.a.output OF }}', code: 'def main(x): return x', with: {x: 1}}\n";
  params = Value::object({{"rows", Value::array(std::vector<Value>(400, Value::integer(1)))}});
  inputs.code_parallel = 4;
  auto seconds = [&](const std::string& of) {
    std::string steps = two;
    steps.replace(steps.find(" OF"), 3, of);
    plan = plan_of("steps:\n" + steps);
    seen("a").seconds.add(0.1, 50);
    seen("b").seconds.add(0.1, 50);
    return estimate().seconds.middle;
  };
  const double flows = seconds("");
  const double waits = seconds(" | present");
  EXPECT_NEAR(flows, 10, 0.6);
  EXPECT_NEAR(waits, 20, 0.6);
}

TEST_F(PlanCost, AnEmbeddedModelWorksInBatches) {
  plan = plan_of(kAsk);
  ModelCost model;
  model.instance = InstanceCost::defaults();
  inputs.models["default"] = model;
  seen("ask").prompt_tokens.add(120, 10);
  seen("ask").completion_tokens.add(8, 10);
  const InstanceCost& cost = *model.instance;
  params = *parse_json(R"({"rows":[1]})");
  const double alone = cost.prefill_s(0, 120) + cost.decode_s(120, 8);
  EXPECT_NEAR(estimate().seconds.middle, alone, 0.01 * alone);
  params = Value::object({{"rows", Value::array(std::vector<Value>(160, Value::integer(1)))}});
  const double together = 160 * (cost.prefill_s(0, 120) + cost.decode_s(120, 8, 15) / 16);
  EXPECT_NEAR(estimate().seconds.middle, together, 0.05 * together);
  EXPECT_LT(estimate().seconds.middle, 160 * alone);
  // What they share at the front is computed once.
  seen("ask").shared_tokens = 100 * 10;
  const double shared = 160 * (cost.prefill_s(100, 20) + cost.decode_s(120, 8, 15) / 16);
  EXPECT_NEAR(estimate().seconds.middle, shared, 0.1 * shared);
}

TEST_F(PlanCost, SubPlansAreMultiplied) {
  const std::string head =
      std::string(kHead) +
      "plans:\n"
      "  sub:\n"
      "    params: {n: {type: integer}}\n"
      "    steps:\n"
      "      get: {tool: web, with: {path: '/{{ params.n }}'}}\n"
      "      twice: {for_each: [1, 2], tool: web, with: {path: '{{ steps.get.output.u }}'}}\n"
      "    result: '{{ steps.twice.output }}'\n";
  plan = plan_of(
      "steps:\n"
      "  each: {for_each: '{{ params.rows }}', plan: sub, with: {n: '{{ item }}'}}\n"
      "  end: {tool: web, with: {path: '{{ steps.each.output | length }}'}}\n",
      head);
  params = Value::object({{"rows", Value::array(std::vector<Value>(30, Value::integer(1)))}});
  const PhysicalPlan& sub = *step_of(*plan, "each").plan;
  history.table[step_of(sub, "get").step_hash].seconds.add(0.2, 10);
  history.table[step_of(sub, "twice").step_hash].seconds.add(0.3, 10);
  seen("end").seconds.add(1, 10);
  const PlanEstimate all = estimate();
  std::vector<std::string> ids;
  for (const StepEstimate& each : all.steps) ids.push_back(each.id);
  EXPECT_EQ(ids, (std::vector<std::string>{"each", "each/get", "each/twice", "end"}));
  expect_exact(all.find("each")->rows, 30);
  EXPECT_DOUBLE_EQ(all.find("each/get")->calls.middle, 30);
  EXPECT_DOUBLE_EQ(all.find("each/twice")->calls.middle, 60);
  EXPECT_NEAR(all.find("each")->task_s.middle, 0.5, 1e-9);
  EXPECT_NEAR(all.find("each/get")->remaining_s, 1.5, 1e-9);
  EXPECT_NEAR(all.find("each/twice")->remaining_s, 1.3, 1e-9);
  EXPECT_TRUE(all.find("each/get")->critical);
  // (30 x 0.2 + 60 x 0.3) / 4 calls at a time, then the end.
  EXPECT_NEAR(all.seconds.middle, 6 + 1, 0.7);
  EXPECT_EQ(all.find("nothing"), nullptr);
}

TEST_F(PlanCost, ManyRunsOfAPlanShareItsResources) {
  plan = plan_of("steps:\n  a: {tool: web, with: {path: /a}}\n");
  seen("a").seconds.add(1, 10);
  EXPECT_NEAR(estimate(1).seconds.middle, 1, 1e-6);
  EXPECT_NEAR(estimate(100).seconds.middle, 25, 1);
  EXPECT_DOUBLE_EQ(estimate(100).calls.middle, 100);
}

TEST_F(PlanCost, AFallbackRunsWhereItsStepFails) {
  plan = plan_of(
      "steps:\n"
      "  plan_b: {tool: web, with: {path: /b}}\n"
      "  a: {for_each: '{{ params.rows }}', tool: web, with: {path: /a}, on_error: {step: "
      "plan_b}}\n");
  params = Value::object({{"rows", Value::array(std::vector<Value>(100, Value::integer(1)))}});
  seen("a").tasks = 990;
  seen("a").failed = 200;
  EXPECT_NEAR(step("plan_b").calls.middle, 20, 0.5);
}

TEST_F(PlanCost, AThousandStepsTakeNoTime) {
  std::string steps = "steps:\n  s0: {tool: web, with: {path: /0}}\n";
  for (int i = 1; i < 1000; ++i) {
    steps += "  s" + std::to_string(i) + ": {when: '{{ steps.s" + std::to_string(i - 1) +
             ".output.ok }}', tool: web, with: {path: '{{ steps.s" + std::to_string(i / 2) +
             ".output.u }}'}}\n";
  }
  plan = plan_of(steps);
  const PlanEstimate all = estimate();
  EXPECT_EQ(all.steps.size(), 1000U);
  EXPECT_GT(all.find("s0")->remaining_s, all.find("s999")->remaining_s);
  EXPECT_LT(all.calls.middle, 3) << "each lets half of them through";
}

}  // namespace
}  // namespace sluice
