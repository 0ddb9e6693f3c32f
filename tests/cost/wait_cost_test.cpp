// How long waits are expected to take: what the plan and its parameters say, and what nobody knows.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "cost/plan_cost.h"
#include "data/json.h"
#include "plan/lower.h"
#include "plan/parse.h"
#include "plan/tool_catalog.h"
#include "plan/wait_time.h"

namespace sluice {
namespace {

constexpr double kHour = 3600;

Value bound_params(const Plan& plan, const Value& given) {
  std::vector<Value::Member> bound;
  for (const ParamSpec& param : plan.params) {
    const Value* value = given.find(param.id);
    bound.emplace_back(param.id, value != nullptr ? *value : param.default_value);
  }
  return Value::object(std::move(bound));
}

PlanEstimate estimate(const std::string& steps, const std::string& params = "{}",
                      const CostInputs& given = {}) {
  ParsedPlan parsed = parse_plan(
      "sluice: 1\n"
      "params: {d: {type: string, default: 2h}, t: {type: string, default: ''}, rows: {type: "
      "array, "
      "default: []}}\n"
      "tools: {web: {kind: http, url: 'http://h'}}\n" +
          steps,
      "test.yaml");
  for (const auto& each : parsed.diagnostics.all()) {
    ADD_FAILURE() << format_diagnostic(each, {"test.yaml"});
  }
  auto lowered = lower_plan(parsed.plan, *catalog_of(*parsed.plan));
  EXPECT_TRUE(lowered.has_value());
  const Value bound = bound_params(*parsed.plan, *parse_json(params));
  CostInputs inputs = given;
  inputs.params = &bound;
  return estimate_plan(**lowered, inputs);
}

TEST(WaitCost, WhatParametersSayIsKnown) {
  for (const char* length : {"2h", "\"{{ params.d }}\"", "\"{{ params.rows | length + 2 }}h\""}) {
    const PlanEstimate made = estimate("steps:\n  a: {wait: {for: " + std::string(length) + "}}\n");
    EXPECT_DOUBLE_EQ(made.seconds.middle, 2 * kHour) << length;
    EXPECT_EQ(made.seconds.source, EstimateSource::kExact) << length;
    EXPECT_FALSE(made.steps[0].unknown_wait) << length;
  }
}

// Tasks wait side by side: the longest of them is over last.
TEST(WaitCost, ItemsMaySayIt) {
  const std::string steps =
      "steps:\n  a: {for_each: '{{ params.rows }}', wait: {for: '{{ item }}'}}\n"
      "  b: {tool: web, after: [a]}\n";
  const PlanEstimate made = estimate(steps, R"({"rows": ["1h", "3h", "2h"]})");
  EXPECT_DOUBLE_EQ(made.find("a")->task_s.middle, 2 * kHour);
  EXPECT_DOUBLE_EQ(made.find("a")->task_s.high, 3 * kHour);
  EXPECT_NEAR(made.seconds.middle, 3 * kHour, 0.2 * kHour);
  EXPECT_GE(made.seconds.low, 3 * kHour);
  EXPECT_TRUE(estimate(steps, R"({"rows": ["1h", "soon"]})").find("a")->unknown_wait);
  EXPECT_FALSE(estimate(steps).find("a")->unknown_wait) << "there are no tasks";
}

TEST(WaitCost, AnInstantIsFarAwayOrPast) {
  CostInputs inputs;
  const std::string step = "steps:\n  a: {wait: {until: '2030-12-24T18:00:00+01:00'}}\n";
  EXPECT_TRUE(estimate(step).steps[0].unknown_wait) << "nobody says what time it is";
  inputs.now = *parse_wait_until("2030-12-24T12:00:00Z");
  EXPECT_NEAR(estimate(step, "{}", inputs).seconds.middle, 5 * kHour, 1e-6);
  inputs.now = *parse_wait_until("2031-01-01T12:00:00Z");
  const PlanEstimate past = estimate(step, "{}", inputs);
  EXPECT_DOUBLE_EQ(past.seconds.middle, 0);
  EXPECT_FALSE(past.steps[0].unknown_wait);
}

TEST(WaitCost, AnInstantDoesNotMoveWithWhatComesBefore) {
  CostInputs inputs;
  inputs.now = *parse_wait_until("2030-12-24T12:00:00Z");
  const PlanEstimate made = estimate(
      "steps:\n"
      "  first: {wait: {for: 2h}}\n"
      "  a: {wait: {until: '{{ params.t }}'}, after: [first]}\n"
      "  b: {tool: web, after: [a]}\n",
      R"({"t": "2030-12-24T15:00:00Z"})", inputs);
  EXPECT_NEAR(made.seconds.middle, 3 * kHour, 1);
  const PlanEstimate late = estimate(
      "steps:\n"
      "  first: {wait: {for: 2h}}\n"
      "  a: {wait: {until: '{{ params.t }}'}, after: [first]}\n",
      R"({"t": "2030-12-24T13:00:00Z"})", inputs);
  EXPECT_NEAR(late.seconds.middle, 2 * kHour, 1) << "it is past by then";
}

TEST(WaitCost, WhatNobodyKnowsIsSaid) {
  for (const char* wait : {"{signal: go}", "{signal: go, for: 24h, value: false}",
                           "{for: '{{ steps.page.output.body }}'}"}) {
    const PlanEstimate made =
        estimate("steps:\n  page: {tool: web}\n  a: {wait: " + std::string(wait) + "}\n");
    EXPECT_TRUE(made.find("a")->unknown_wait) << wait;
    EXPECT_FALSE(made.find("page")->unknown_wait) << wait;
    EXPECT_EQ(made.seconds.source, EstimateSource::kDefault) << wait;
    EXPECT_LT(made.seconds.middle, 1) << wait;
  }
  EXPECT_FALSE(
      estimate("steps:\n  a: {when: '{{ params.rows | length > 0 }}', wait: {signal: go}}\n")
          .steps[0]
          .unknown_wait)
      << "it is not waited for";
}

TEST(WaitCost, InSubPlansTheirParametersSayIt) {
  const std::string plan =
      "plans:\n"
      "  nap: {params: {d: {type: string}}, steps: {z: {wait: {for: '{{ params.d }}'}}}}\n"
      "steps:\n"
      "  one: {plan: nap, with: {d: '{{ params.d }}'}}\n";
  EXPECT_NEAR(estimate(plan).seconds.middle, 2 * kHour, 1);
  const PlanEstimate each = estimate(plan +
                                         "  all: {for_each: '{{ params.rows }}', plan: nap, with: "
                                         "{d: '{{ item }}'}}\n",
                                     R"({"rows": ["1h", "3h"]})");
  EXPECT_DOUBLE_EQ(each.find("all/z")->task_s.middle, 2 * kHour);
  EXPECT_FALSE(each.find("all/z")->unknown_wait);
}

}  // namespace
}  // namespace sluice
