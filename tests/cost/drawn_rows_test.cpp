// What is known of the rows of a table before they are done: conditions on their columns alone, how
// many calls are equal, how long prompts are.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "cost/conditions.h"
#include "cost/plan_cost.h"
#include "cost/row_estimate.h"
#include "plan/lower.h"
#include "plan/parse.h"
#include "plan/tool_catalog.h"

namespace sluice {
namespace {

constexpr const char* kRows =
    "sluice: 1\n"
    "params: {rows: {type: array, default: []}}\n"
    "plans:\n"
    "  row:\n"
    "    sluice: 1\n"
    "    params: {day: {type: integer}, text: {type: string}}\n"
    "    steps:\n"
    "      ask: {when: '{{ params.day >= 90 }}', llm: default, with: {prompt: 'About: {{ "
    "params.text "
    "}}'}}\n"
    "      keep: {when: \"{{ params.day < 95 and steps.ask.output == 'yes' }}\", value: 1}\n"
    "    result: '{{ steps.keep.output }}'\n"
    "steps:\n"
    "  row: {for_each: '{{ params.rows }}', plan: row, with: {day: '{{ item.day }}', text: '{{ "
    "item.text }}'}}\n";

PhysicalPlanPtr shared_plan() {
  ParsedPlan parsed = parse_plan(kRows, "test.yaml");
  for (const auto& each : parsed.diagnostics.all()) {
    ADD_FAILURE() << format_diagnostic(each, {"test.yaml"});
  }
  auto plan = std::make_shared<PhysicalPlan>(**lower_plan(parsed.plan, *catalog_of(*parsed.plan)));
  auto row = std::make_shared<PhysicalPlan>(*plan->steps.front().plan);
  for (PhysicalStep& step : row->steps) step.advice.share_equal = true;
  plan->steps.front().plan = row;
  return plan;
}

// Days 0..99 over and over; a text for every two rows.
std::vector<Value> rows(int count) {
  std::vector<Value> made;
  for (int i = 0; i < count; ++i) {
    made.push_back(
        Value::object({{"day", Value::integer(i % 100)},
                       {"text", Value::string(fmt::format("text {}", i % (count / 2)))}}));
  }
  return made;
}

const StepEstimate& of(const PlanEstimate& estimate, std::string_view id) {
  const StepEstimate* found = estimate.find(id);
  if (found == nullptr) throw std::runtime_error("no estimate of " + std::string(id));
  return *found;
}

TEST(DrawnRows, ConditionsOnColumnsAloneAreCounted) {
  const PhysicalPlanPtr plan = shared_plan();
  const Value params = Value::object({{"rows", Value::array(rows(400))}});
  CostInputs inputs;
  inputs.params = &params;
  const PlanEstimate made = estimate_plan(*plan, inputs);
  EXPECT_DOUBLE_EQ(of(made, "row/ask").selectivity.middle, 0.1);
  EXPECT_EQ(of(made, "row/ask").selectivity.source, EstimateSource::kExact);
  ASSERT_EQ(of(made, "row/keep").conjuncts.size(), 2u);
  EXPECT_DOUBLE_EQ(of(made, "row/keep").conjuncts[0].middle, 0.95);
  EXPECT_EQ(of(made, "row/keep").conjuncts[1].source, EstimateSource::kDefault);
}

TEST(DrawnRows, GoBeforeWhatTheFirstRowsShowed) {
  const PhysicalPlanPtr plan = shared_plan();
  const PlanConditions conditions = conditions_of(*plan->steps.front().plan);
  StatisticsTable sample;
  sample[conditions.steps[0].together].conditions = 20;
  sample[conditions.steps[0].together].held = 20;  // the table lies in the order of days
  const Value params = Value::object({{"rows", Value::array(rows(400))}});
  CostInputs inputs;
  inputs.params = &params;
  inputs.sample = &sample;
  EXPECT_DOUBLE_EQ(of(estimate_plan(*plan, inputs), "row/ask").selectivity.middle, 0.1);
}

TEST(DrawnRows, EqualCallsAreCountedAmongThoseThatConditionsLetThrough) {
  const PhysicalPlanPtr plan = shared_plan();
  const Value params = Value::object({{"rows", Value::array(rows(400))}});
  CostInputs inputs;
  inputs.params = &params;
  const PlanEstimate made = estimate_plan(*plan, inputs);
  EXPECT_DOUBLE_EQ(of(made, "row/ask").distinct.middle, 0.5);
  EXPECT_NEAR(of(made, "row/ask").calls.middle, 20, 0.01);
}

TEST(DrawnRows, APartOfTheRowsSaysNearlyTheSame) {
  const PhysicalPlanPtr plan = shared_plan();
  std::vector<Value> all = rows(20'000);
  Random chance(3);
  std::vector<Value> some;
  for (Value& row : all) {
    if (chance.below(20) == 0) some.push_back(row);
  }
  ParsedPlan parsed = parse_plan(kRows, "test.yaml");
  CostInputs inputs;
  inputs.items["row"] = 20'000;
  inputs.drawn["row"] = some;
  const StepEstimate ask = of(estimate_plan(*plan, inputs), "row/ask");
  EXPECT_NEAR(ask.selectivity.middle, 0.1, 0.04);
  EXPECT_EQ(ask.selectivity.source, EstimateSource::kSample);
  EXPECT_LT(ask.distinct.low, 0.6);
  EXPECT_GT(ask.distinct.high, 0.45);
}

TEST(DrawnRows, PromptsAreCountedAsTheyAre) {
  const PhysicalPlanPtr plan = shared_plan();
  const Value params = Value::object({{"rows", Value::array(rows(400))}});
  CostInputs inputs;
  inputs.params = &params;
  ModelCost model;
  model.count_tokens = [](std::string_view text) { return text.size(); };
  inputs.models["default"] = model;
  const Estimate tokens = of(estimate_plan(*plan, inputs), "row/ask").prompt_tokens;
  EXPECT_NEAR(tokens.middle, 24, 4) << "'About: text 123' and the frame";
  EXPECT_EQ(tokens.source, EstimateSource::kSample);
}

TEST(DrawnRows, TheOptimizerKnowsThemInsideOfTheSubPlan) {
  const PhysicalPlanPtr plan = shared_plan();
  const Value params = Value::object({{"rows", Value::array(rows(40))}});
  CostInputs inputs;
  inputs.params = &params;
  const std::vector<Value> runs = params_of_runs(*plan, 0, inputs);
  ASSERT_EQ(runs.size(), 40u);
  EXPECT_EQ(*runs[7].find("day"), Value::integer(7));
  CostInputs inner;
  inner.run_params = runs;
  const PlanEstimate made = estimate_plan(*plan->steps.front().plan, inner, 40);
  EXPECT_DOUBLE_EQ(of(made, "ask").selectivity.middle, 0);  // days 0 to 39
}

// Of values that each come so often, the part that is distinct, from a random part of them.
TEST(DistinctPart, OfRandomSamplesIsNearTheTruth) {
  const struct {
    std::uint64_t values, each;
  } kCases[] = {{20'000, 1}, {10'000, 2}, {4'000, 5}, {200, 100}};
  for (const auto& [values, each] : kCases) {
    for (const double part : {0.05, 0.2, 1.0}) {
      SCOPED_TRACE(fmt::format("{} values, each {} times, {} of them", values, each, part));
      Random chance(11);
      std::map<std::uint64_t, std::uint64_t> seen;
      std::uint64_t drawn = 0;
      for (std::uint64_t i = 0; i < values * each; ++i) {
        if (static_cast<double>(chance.below(10'000)) >= part * 10'000) continue;
        ++seen[i % values];
        ++drawn;
      }
      std::uint64_t alone = 0;
      for (const auto& [value, count] : seen) alone += count == 1 ? 1 : 0;
      const Estimate made = distinct_part(drawn, seen.size(), alone, part);
      const double truth = 1 / static_cast<double>(each);
      EXPECT_NEAR(made.middle, truth, 0.2 * truth);
      EXPECT_LE(made.low, truth * 1.2);
      EXPECT_GE(made.high, truth * 0.8);
    }
  }
  EXPECT_DOUBLE_EQ(distinct_part(0, 0, 0, 0.1).middle, 1);
}

}  // namespace
}  // namespace sluice
