// When later rows of a batch are done otherwise than the first ones, and when not.
#include "host/runs/adaptive_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "cost/conditions.h"
#include "plan/parse.h"
#include "plan/tool_catalog.h"

namespace sluice {
namespace {

using testing::HasSubstr;

constexpr const char* kText =
    "sluice: 1\n"
    "params: {rows: {type: array}}\n"
    "tools:\n"
    "  ask: {kind: process, command: [ask], effect: pure}\n"
    "plans:\n"
    "  row:\n"
    "    sluice: 1\n"
    "    params: {n: {type: integer}}\n"
    "    tools:\n"
    "      ask: {kind: process, command: [ask], effect: pure}\n"
    "    steps:\n"
    "      first: {tool: ask, with: {args: ['{{ params.n }}', 1]}}\n"
    "      second: {tool: ask, with: {args: ['{{ params.n }}', 2]}}\n"
    "      keep: {when: \"{{ steps.first.output == 'yes' and steps.second.output == 'yes' }}\", "
    "value: '{{ params.n }}'}\n"
    "    result: '{{ steps.keep.output }}'\n"
    "steps:\n"
    "  row: {for_each: '{{ params.rows }}', plan: row, with: {n: '{{ item }}'}}\n"
    "result: '{{ steps.row.output }}'\n";

const PhysicalStep& step_of(const PhysicalPlan& plan, std::string_view id) {
  for (const PhysicalStep& step : plan.steps) {
    if (step.logical.id == id) return step;
  }
  throw std::runtime_error("no step " + std::string(id));
}

// One more question, of a model, that a pass may ask otherwise.
std::string reworded(std::string text) {
  const std::string_view kept = "value: '{{ params.n }}'";
  text.replace(text.find(kept), kept.size(), "value: '{{ steps.judge.output }}'");
  text.insert(text.find("tools:"), "allow: [reorder_templates]\n");
  text.insert(
      text.find("      keep:"),
      "      judge:\n"
      "        llm: default\n"
      "        with:\n"
      "          messages:\n"
      "            - {role: user, content: \"Entry: {{ params.n }}\\n\\nIs it of any use to "
      "those who look for numbers? Answer with yes or no, and nothing else, please.\"}\n");
  return text;
}

class AdaptiveRowsTest : public testing::Test {
 protected:
  explicit AdaptiveRowsTest(const std::string& text = kText, OptimizerSettings settings = {})
      : settings_(std::move(settings)) {
    ParsedPlan parsed = parse_plan(text, "test.yaml");
    for (const auto& each : parsed.diagnostics.all()) {
      ADD_FAILURE() << format_diagnostic(each, {"test.yaml"});
    }
    plan_ = parsed.plan;
    catalog_ = catalog_of(*plan_);
    cost_.items["row"] = 1'000;
    auto made = optimize_plan(input());
    if (!made) throw std::runtime_error(made.error().to_string());
    physical_ = made->physical;
    rows_ = std::make_unique<AdaptiveRows>(physical_, *AdaptiveRows::rows_step(*physical_),
                                           made->after);
  }

  OptimizerInput input() {
    return {
        .plan = plan_, .tools = *catalog_, .params = nullptr, .cost = cost_, .settings = settings_};
  }

  // What `count` rows have shown: in what part of them each question is answered with yes.
  void show(double first, double second, std::uint64_t count = 64) {
    sample_.clear();
    const PhysicalPlan& row = *rows_->plan()->steps.front().plan;
    const PlanConditions conditions = conditions_of(row);
    for (std::size_t i = 0; i < row.steps.size(); ++i) {
      for (const std::uint32_t key : conditions.steps[i].own) {
        const std::string text = row.steps[i].when->binding.expr.to_string();
        const bool of_first =
            text.find("steps.first.") != std::string::npos &&
            (conditions.steps[i].own.size() == 1 || key == conditions.steps[i].own.front());
        StepStatistics& seen = sample_[conditions.keys[key]];
        seen.conditions = count;
        seen.held =
            static_cast<std::uint64_t>((of_first ? first : second) * static_cast<double>(count));
      }
    }
    cost_.sample = &sample_;
  }

  void end_rows(std::uint32_t count, TraceKind kind = TraceKind::kTaskDone) {
    for (std::uint32_t i = 0; i < count; ++i) {
      TraceEvent event;
      event.kind = kind;
      event.set_step(*physical_, 0);
      event.call.task = {0, 0, next_row_++};
      rows_->on_trace(event);
    }
  }

  OptimizerSettings settings_;
  PlanPtr plan_;
  std::unique_ptr<ToolCatalog> catalog_;
  CostInputs cost_;
  StatisticsTable sample_;
  PhysicalPlanPtr physical_;
  std::unique_ptr<AdaptiveRows> rows_;
  std::uint32_t next_row_ = 0;
};

TEST_F(AdaptiveRowsTest, LooksAfterSixteenRowsAndThenMoreAndMoreRarely) {
  EXPECT_FALSE(rows_->due());
  end_rows(15);
  EXPECT_FALSE(rows_->due());
  end_rows(1, TraceKind::kTaskFailed);
  EXPECT_TRUE(rows_->due());
  EXPECT_FALSE(rows_->look(input())) << "nothing was seen";
  EXPECT_FALSE(rows_->due());
  end_rows(16);
  EXPECT_TRUE(rows_->due());
  EXPECT_FALSE(rows_->look(input()));
  end_rows(31);
  EXPECT_FALSE(rows_->due());
  end_rows(1);
  EXPECT_TRUE(rows_->due());
}

TEST_F(AdaptiveRowsTest, WhatTurnsMoreRowsAwayIsAskedFirst) {
  ASSERT_FALSE(step_of(*physical_->steps[0].plan, "first").when);
  ASSERT_TRUE(step_of(*physical_->steps[0].plan, "second").when);
  end_rows(16);
  show(0.95, 0.1);
  auto replan = rows_->look(input());
  ASSERT_TRUE(replan);
  EXPECT_EQ(replan->step, 0u);
  EXPECT_TRUE(step_of(*replan->plan, "first").when);
  EXPECT_FALSE(step_of(*replan->plan, "second").when);
  EXPECT_EQ(replan->plan->logical, physical_->steps[0].plan->logical);
  EXPECT_NE(replan->plan->plan_hash, physical_->steps[0].plan->plan_hash);
  EXPECT_EQ(step_of(*replan->plan, "first").step_hash,
            step_of(*physical_->steps[0].plan, "first").step_hash);
  EXPECT_THAT(replan->why, HasSubstr("holds for"));
  EXPECT_THAT(replan->why, HasSubstr("first is done only where"));
  EXPECT_EQ(rows_->plan()->steps[0].plan, replan->plan);
  EXPECT_FALSE(rows_->look(input())) << "it is in order now";
}

class RewordedRowsTest : public AdaptiveRowsTest {
 protected:
  RewordedRowsTest()
      : AdaptiveRowsTest(reworded(kText), {.off = false, .without = {"reorder_templates"}}) {}
};

TEST_F(RewordedRowsTest, NoPassChangesMoreThanItDidBefore) {
  const Hash256 judge = step_of(*physical_->steps[0].plan, "judge").step_hash;
  settings_.without.clear();  // as if it had just found out what it may change
  auto made = optimize_plan(input());
  ASSERT_TRUE(made);
  ASSERT_NE(step_of(*made->physical->steps[0].plan, "judge").step_hash, judge);
  end_rows(16);
  show(0.95, 0.1);
  EXPECT_FALSE(rows_->look(input()));
}

TEST_F(RewordedRowsTest, OtherwiseTheyAreDoneInAnotherOrder) {
  end_rows(16);
  show(0.95, 0.1);
  EXPECT_TRUE(rows_->look(input()));
}

TEST_F(AdaptiveRowsTest, AnOrderThatIsRightStays) {
  end_rows(16);
  show(0.1, 0.95);
  EXPECT_FALSE(rows_->look(input()));
}

TEST_F(AdaptiveRowsTest, AFewRowsSayNothing) {
  end_rows(16);
  show(0.5, 0.5, 2);
  EXPECT_FALSE(rows_->look(input()));
}

TEST_F(AdaptiveRowsTest, WhatAnEarlierProcessDidIsNotASample) {
  TraceEvent mark;
  mark.kind = TraceKind::kRecoveryBegan;
  rows_->on_trace(mark);
  end_rows(100);
  mark.kind = TraceKind::kRecovered;
  rows_->on_trace(mark);
  EXPECT_FALSE(rows_->due());
}

TEST(AdaptiveRowsStep, IsTheOneThatRunsTheRows) {
  ParsedPlan parsed = parse_plan("sluice: 1\nsteps:\n  row: {value: 1}\n", "test.yaml");
  auto made = optimize_plan({.plan = parsed.plan,
                             .tools = *catalog_of(*parsed.plan),
                             .params = nullptr,
                             .cost = CostInputs{},
                             .settings = {}});
  ASSERT_TRUE(made);
  EXPECT_FALSE(AdaptiveRows::rows_step(*made->physical));
}

}  // namespace
}  // namespace sluice
