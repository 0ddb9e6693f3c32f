// The operator table, from text to the physical plan, into the journal's record and back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/json.h"
#include "plan/binding_text.h"
#include "plan/lower.h"
#include "plan/parse.h"
#include "plan/physical_codec.h"
#include "plan/references.h"
#include "plan/table_query.h"
#include "tests/plan/lowering.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::string_view kPlan = R"(sluice: 1
params: {least: {type: integer}}
steps:
  sales: {value: [{sku: a, n: 1}]}
  prices: {value: [{sku: a, price: 2}]}
  rates: {for_each: "{{ steps.sales.output }}", value: "{{ index }}"}
  joined:
    for_each: "{{ steps.sales.output }}"
    table:
      from: "{{ steps.sales.output }}"
      match: {with: "{{ steps.prices.output }}", on: "{{ row.sku == other.sku }}", keep: all}
      where: "{{ row.n > params.least and row.n < params.least + steps.rates.output[index] }}"
      select: {n: "{{ row.n }}", item: "{{ item.sku }}"}
      group: {by: {n: "{{ row.n }}"}, give: {all: "{{ rows }}"}}
      order: {by: "{{ output.n }}", reverse: true}
      limit: "{{ params.least }}"
result: "{{ steps.joined.output }}"
)";

const PhysicalStep& last_step(const PhysicalPlan& plan) { return plan.steps.back(); }

TEST(Table, WhatItReadsOfThePlanStandsInWith) {
  PlanPtr plan = parsed(kPlan);
  const Step& joined = *plan->find_step("joined");
  EXPECT_EQ(joined.op, OperatorKind::kTable);
  std::vector<std::string> names;
  for (const auto& [name, binding] : joined.with.members) names.push_back(name);
  EXPECT_THAT(names, ElementsAre("from", "match", "params.least", "steps.rates.output[index]",
                                 "item", "limit"));
  EXPECT_EQ(joined.with.find("params.least")->text, "{{ params.least }}");
  EXPECT_EQ(joined.with.find("params.least")->pos.line, 12U);
  ASSERT_TRUE(joined.table);
  EXPECT_TRUE(joined.table->match->keep_all);
  EXPECT_TRUE(joined.table->order->reverse);
  EXPECT_FALSE(joined.table->broken);
}

TEST(Table, IsLoweredLikeAnyStep) {
  PhysicalPlanPtr plan = lowered(parsed(kPlan));
  ASSERT_TRUE(plan);
  const PhysicalStep& joined = last_step(*plan);
  EXPECT_EQ(joined.effect, Effect::kPure);
  EXPECT_EQ(joined.resource, "");
  EXPECT_TRUE(joined.mapped);
  std::vector<EdgeMode> modes;
  for (const Edge& edge : joined.edges) modes.push_back(edge.mode);
  // for_each and from over sales, match over prices, the slot of rates
  EXPECT_THAT(modes, ElementsAre(EdgeMode::kWhole, EdgeMode::kWhole, EdgeMode::kSlot));
}

TEST(Table, TheQueryIsPartOfItsMeaning) {
  constexpr std::string_view kTwo = R"(sluice: 1
steps:
  a: {table: {from: [], where: "{{ row.n > 1 }}"}}
  b: {table: {from: [], where: "{{ row.n > 2 }}"}}
  c: {table: {from: [], where: "{{ row.n   > 1 }}"}}
  d: {table: {from: [], where: "{{ row.n > 1 }}", select: "{{ row }}"}}
)";
  PhysicalPlanPtr plan = lowered(parsed(kTwo));
  ASSERT_TRUE(plan);
  EXPECT_NE(plan->steps[0].step_hash, plan->steps[1].step_hash);
  EXPECT_EQ(plan->steps[0].step_hash, plan->steps[2].step_hash);
  EXPECT_NE(plan->steps[0].step_hash, plan->steps[3].step_hash);
}

TEST(Table, IsRecordedAndReadBack) {
  PlanPtr plan = parsed(kPlan);
  PhysicalPlanPtr physical = lowered(plan);
  ASSERT_TRUE(physical);
  Value record = encode_physical(*physical);
  auto again = decode_physical(*parse_json(to_json(record)), plan);
  ASSERT_TRUE(again) << again.error().to_string();
  const Step& before = last_step(*physical).logical;
  const Step& after = last_step(**again).logical;
  ASSERT_TRUE(after.table);
  EXPECT_EQ(to_json(table_text(*after.table)), to_json(table_text(*before.table)));
  EXPECT_EQ(to_json(encode_physical(**again)), to_json(record));
  EXPECT_EQ(to_json(binding_text(after.with)), to_json(binding_text(before.with)));
}

TEST(Table, ARecordWithoutItsQueryIsDamaged) {
  PlanPtr plan = parsed(kPlan);
  std::string record = to_json(encode_physical(*lowered(plan)));
  std::size_t at = record.find("\"table\":{");
  ASSERT_NE(at, std::string::npos);
  record.replace(at, 8, "\"tabel\":");
  auto again = decode_physical(*parse_json(record), plan);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code(), ErrorCode::kJournalDamaged);
}

TEST(Table, IsPrintedAndReadBack) {
  PlanPtr plan = parsed(kPlan);
  for (const std::string& text : {print_plan_yaml(*plan), print_plan_json(*plan)}) {
    PlanPtr again = parsed(text);
    ASSERT_TRUE(again);
    EXPECT_EQ(to_json(table_text(*again->find_step("joined")->table)),
              to_json(table_text(*plan->find_step("joined")->table)));
  }
}

TEST(Table, IsSaidInWords) {
  PlanPtr plan = parsed(kPlan);
  const Step& joined = *plan->find_step("joined");
  EXPECT_EQ(
      table_words(*joined.table, joined.with),
      "from steps.sales.output, match steps.prices.output on row.sku == other.sku (keep all), "
      "where row.n > params.least and row.n < params.least + steps.rates.output[index], "
      "select n, item, group by n give all, order by output.n (reverse), limit params.least");
}

struct KeyCase {
  const char* on;
  std::size_t keys;  // 0: refused
};

TEST(Table, OnIsTakenApart) {
  auto any = [](std::string_view, std::span<const std::string>, bool) { return NameClaim(); };
  for (KeyCase of :
       {KeyCase{"{{ row.a == other.b }}", 1}, KeyCase{"{{ other.b == row.a }}", 1},
        KeyCase{"{{ (row.a + 1) == other.b and row.c == other.d | lower }}", 2},
        KeyCase{"{{ row.a == other.b and (row.c == other.d and row.e == other.f) }}", 3},
        KeyCase{"{{ row.a == 1 }}", 0}, KeyCase{"{{ row.a < other.b }}", 0},
        KeyCase{"{{ row.a == other.b or true }}", 0}, KeyCase{"{{ true }}", 0},
        KeyCase{"{{ row.a == other.b and row.c > 1 }}", 0},
        KeyCase{"{{ row.a == row.b + other.c }}", 0}, KeyCase{"x{{ row.a }}", 0},
        KeyCase{"{{ row.a == other.b == 1 }}", 0}}) {
    auto compiled = Expr::compile(of.on, any);
    ASSERT_TRUE(compiled) << of.on;
    auto keys = match_keys(*compiled);
    EXPECT_EQ(keys ? keys->size() : 0, of.keys) << of.on;
  }
}

}  // namespace
}  // namespace sluice
