// The optimizer around its passes: what stays of the written plan, switches, notes, time; and
// PlanDraft, on which passes stand.
#include "optimize/optimizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/failpoint.h"
#include "optimize/pass.h"
#include "plan/describe.h"
#include "plan/lower.h"
#include "plan/physical_codec.h"
#include "tests/optimize/optimizing.h"
#include "tests/optimize/remembered.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::string_view kSteps =
    "  a: {llm: default, with: {prompt: hi}}\n"
    "  b: {llm: default, with: {prompt: hi}}\n"
    "  c: {plan: sub, with: {x: '{{ steps.b.output }}'}}\n"
    "  d: {plan: sub, with: {x: '{{ steps.a.output }}'}}\n"
    "  e: {tool: calc}\n"
    "result: '{{ steps.c.output ~ steps.d.output }}'\n";
constexpr std::string_view kSub =
    "plans:\n"
    "  sub: {params: {x: {}}, steps: {s: {tool: calc, with: {args: ['{{ params.x }}']}}, t: "
    "{value: "
    "1}}, result: '{{ steps.s.output }}'}\n";

Value described(const PhysicalPlan& plan) { return describe_physical(plan); }

TEST(Optimizer, OffIsThePlanAsWritten) {
  ParsedPlan parsed = parse_plan(with_tools(kSteps, kSub), "p");
  auto tools = catalog_of(*parsed.plan);
  CostInputs cost;
  auto made = optimize_plan({.plan = parsed.plan,
                             .tools = *tools,
                             .params = nullptr,
                             .cost = cost,
                             .settings = {.off = true, .without = {}}});
  ASSERT_TRUE(made);
  EXPECT_EQ(made->rewritten, parsed.plan);
  EXPECT_THAT(made->notes, IsEmpty());
  EXPECT_EQ(described(*made->physical), described(**lower_plan(parsed.plan, *tools)));
}

TEST(Optimizer, WithoutEveryPassToo) {
  Optimized done = optimize_text(with_tools(kSteps, kSub), {"none of them"});
  auto tools = catalog_of(*done.written);
  EXPECT_EQ(done.plan.rewritten, done.written);
  EXPECT_EQ(described(*done.plan.physical), described(**lower_plan(done.written, *tools)));
}

TEST(Optimizer, StepsKeepTheirMeaning) {
  Optimized done =
      optimize_text(with_tools(kSteps, kSub),
                    {"fold_constants", "merge_equal_steps", "early_conditions", "drop_dead_steps",
                     "share_equal_calls", "rank_by_cost", "keep_prefixes"});
  auto tools = catalog_of(*done.written);
  auto written = *lower_plan(done.written, *tools);
  EXPECT_THAT(done.ids(), ElementsAre("a", "c"));
  EXPECT_THAT(done.ids("sub"), ElementsAre("s"));
  for (const PhysicalStep& step : done.plan.physical->steps) {
    for (const PhysicalStep& each : written->steps) {
      if (each.logical.id != step.logical.id) continue;
      EXPECT_EQ(step.step_hash, each.step_hash) << step.logical.id;
    }
  }
  EXPECT_EQ(done.plan.physical->plan_hash, written->plan_hash);
  EXPECT_EQ(done.plan.physical->logical, done.written);
  EXPECT_EQ(done.physical("c").plan->logical, *done.written->find_plan("sub"));
  EXPECT_EQ(done.rewritten().written, done.written);
  EXPECT_EQ(done.rewritten("sub").written, *done.written->find_plan("sub"));
  EXPECT_THAT(done.physical("c").logical_ids, ElementsAre("c", "d"));
}

TEST(Optimizer, HistoryIsThatOfTheStepAsWritten) {
  const std::string text = with_tools(
      "  word: {value: hello}\n"
      "  ask: {llm: default, with: {prompt: 'Say {{ steps.word.output }}'}}\n"
      "result: '{{ steps.ask.output }}'\n");
  const Optimized first = optimize_text(text, {"fold_constants"});
  ASSERT_EQ(first.step("ask"), "llm default {prompt: Say {{ \"hello\" }}}");
  StepStatistics seen;
  seen.tasks = seen.calls = 10;
  for (int i = 0; i < 10; ++i) seen.seconds.add(100);
  Remembered history;
  const auto tools = catalog_of(*first.written);
  const auto written = lower_plan(first.written, *tools);
  ASSERT_TRUE(written);
  for (const PhysicalStep& step : (*written)->steps) {
    if (step.logical.id == "ask") history.add({{step.step_hash, seen}});
  }
  const Optimized again = optimize_text(text, {"fold_constants"}, "", {.history = &history});
  const StepEstimate* asked = again.plan.after.find("ask");
  ASSERT_NE(asked, nullptr);
  EXPECT_EQ(asked->call_s.source, EstimateSource::kHistory);
  EXPECT_NEAR(asked->call_s.middle, 100, 5);
}

TEST(Optimizer, WhatCameOutCanBeRecordedAndVerified) {
  Optimized done = optimize_text(with_tools(kSteps, kSub));
  Value record = encode_physical(*done.plan.physical);
  auto decoded = decode_physical(record, done.written);
  ASSERT_TRUE(decoded) << decoded.error().to_string();
  EXPECT_EQ(described(**decoded), described(*done.plan.physical));
  auto tools = catalog_of(*done.written);
  Diagnostics findings;
  verify_plan({done.rewritten(), *tools, nullptr}, findings);
  EXPECT_FALSE(findings.has_errors());
}

TEST(Optimizer, APassThatBreaksThePlanIsNamed) {
  ParsedPlan parsed = parse_plan(with_tools("  a: {tool: calc}\n"
                                            "  b: {tool: calc}\n"
                                            "result: '{{ steps.b.output }}'\n"),
                                 "p");
  auto tools = catalog_of(*parsed.plan);
  CostInputs cost;
  FailpointScope mistake(Failpoint::kRedirectForgetsResult);
  auto made = optimize_plan(
      {.plan = parsed.plan, .tools = *tools, .params = nullptr, .cost = cost, .settings = {}});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code(), ErrorCode::kInternal);
  EXPECT_THAT(made.error().message(), HasSubstr("--without merge_equal_steps"));
}

TEST(Optimizer, PassesHaveNamesOnce) {
  std::set<std::string_view> names;
  for (const PassInfo& pass : optimizer_passes()) {
    EXPECT_TRUE(names.insert(pass.name).second) << pass.name;
    EXPECT_FALSE(pass.what.empty());
  }
  for (const Pass& pass : all_passes()) EXPECT_NE(!pass.rewrite, !pass.advise) << pass.info.name;
}

struct DraftOf {
  explicit DraftOf(std::string_view steps)
      : plan(parse_plan(with_tools(steps), "p").plan),
        tools(catalog_of(*plan)),
        draft(*plan, *tools) {}
  PlanPtr plan;
  std::unique_ptr<ToolCatalog> tools;
  PlanDraft draft;

  std::uint32_t at(std::string_view id) const { return draft.index_of(id); }
  std::string line(std::string_view id) const { return step_line(draft.steps()[at(id)]); }
  std::vector<std::string> readers(std::string_view id) const {
    std::vector<std::string> all;
    for (const Reader& reader : draft.readers(at(id))) {
      all.push_back(reader.step == kNoIndex ? "result" : draft.steps()[reader.step].id);
      if (draft.reads_slot(reader)) all.back() += " slot";
    }
    return all;
  }
};

TEST(PlanDraft, WhoReadsWhat) {
  DraftOf of(
      "  a: {for_each: [1], value: '{{ item }}'}\n"
      "  b: {for_each: '{{ steps.a.output }}', value: '{{ item }}'}\n"
      "  c: {for_each: [1], value: '{{ steps.a.output[index] }}'}\n"
      "  d: {value: '{{ steps.a.output }}', after: [b]}\n"
      "  e: {tool: pay, on_error: {step: f}}\n"
      "  f: {value: 1}\n"
      "result: '{{ steps.a.output }}'\n");
  EXPECT_THAT(of.readers("a"), ElementsAre("b slot", "c slot", "d", "result"));
  EXPECT_THAT(of.readers("b"), ElementsAre("d"));
  EXPECT_TRUE(of.draft.is_fallback(of.at("f")));
  EXPECT_EQ(of.draft.effect(of.at("e")), Effect::kOnce);
  EXPECT_TRUE(of.draft.slots(of.at("a")));
  EXPECT_EQ(of.at("nothing"), kNoIndex);
  EXPECT_FALSE(of.draft.changed());
}

TEST(PlanDraft, ChangesKeepTheIndexTrue) {
  DraftOf of(
      "  a: {value: 1}\n"
      "  b: {value: 2}\n"
      "  c: {value: '{{ steps.a.output + steps.b.output }}', join: {a: {failed: {value: 0}}}}\n"
      "  d: {value: '{{ steps.c.output }}'}\n"
      "result: '{{ steps.b.output }}'\n");
  Step made = of.draft.steps()[of.at("c")];
  made.value = *expression_binding("steps.b.output", {});
  of.draft.replace(of.at("c"), made);
  EXPECT_THAT(of.readers("a"), IsEmpty());
  EXPECT_THAT(of.readers("b"), ElementsAre("result", "c"));
  EXPECT_EQ(of.line("c"), "value {{ steps.b.output }}") << "joins of what is read no more go";
  of.draft.remove(of.at("a"));
  EXPECT_EQ(of.at("a"), kNoIndex);
  EXPECT_EQ(of.at("b"), 0u);
  EXPECT_THAT(of.readers("b"), ElementsAre("c", "result"));
  EXPECT_THAT(of.readers("c"), ElementsAre("d"));
  of.draft.set_result(*expression_binding("steps.d.output", {}));
  EXPECT_THAT(of.readers("b"), ElementsAre("c"));
  EXPECT_THAT(of.readers("d"), ElementsAre("result"));
  PlanPtr taken = of.draft.take(of.plan);
  EXPECT_EQ(taken->written, of.plan);
  EXPECT_EQ(taken->steps.size(), 3u);
}

TEST(PlanDraft, Conditions) {
  DraftOf of(
      "  a: {tool: calc}\n"
      "  b: {value: 1, when: '{{ params.p == 1 or params.n == 2 }}'}\n"
      "  c: {value: '{{ steps.a.output }}'}\n");
  ASSERT_TRUE(of.draft.add_condition(of.at("b"), "params.n > 3"));
  EXPECT_EQ(of.line("b"), "when {{ (params.p == 1 or params.n == 2) and params.n > 3 }}; value 1");
  ASSERT_TRUE(of.draft.add_condition(of.at("c"), "steps.a.output.ok"));
  EXPECT_EQ(of.line("c"), "when {{ steps.a.output.ok and true }}; value {{ steps.a.output }}");
  EXPECT_FALSE(of.draft.add_condition(of.at("c"), "1 +"));
}

TEST(PlanDraft, RedirectRefusesStandIns) {
  DraftOf of(
      "  a: {tool: pay, on_error: {step: f}}\n"
      "  f: {value: 1}\n"
      "  g: {value: 1}\n");
  EXPECT_FALSE(of.draft.redirect(of.at("f"), of.at("g")));
  EXPECT_FALSE(of.draft.redirect(of.at("g"), of.at("f")));
  EXPECT_FALSE(of.draft.changed());
}

TEST(PlanDraft, Order) {
  DraftOf of(
      "  d: {value: '{{ steps.b.output }}'}\n"
      "  b: {tool: pay, on_error: {step: a}, after: [c]}\n"
      "  a: {value: 1}\n"
      "  c: {value: 1}\n");
  EXPECT_THAT(of.draft.order(), ElementsAre(2u, 3u, 1u, 0u));
}

// A wide and deep plan; the bound is far above what it takes, so that only a square is found.
// What each step of a long chain demands could be asked in front of all: a step takes few of them.
TEST(Optimizer, AStepIsGivenFewConditionsOfOthers) {
  std::string steps = "  s0: {llm: default, with: {prompt: 'Begin'}}\n";
  for (int i = 1; i < 1000; ++i) {
    steps += fmt::format(
        "  s{0}: {{when: \"{{{{ run.id != 'a{0}' }}}}\", llm: default, "
        "with: {{prompt: 'Say {{{{ steps.s{1}.output }}}}'}}}}\n",
        i, i - 1);
  }
  Optimized done = optimize_text(with_tools(steps + "result: '{{ steps.s999.output }}'\n"));
  std::size_t most = 0;
  for (const Step& step : done.rewritten().steps) {
    if (step.when) most = std::max(most, step.when->expr.conjuncts().size());
  }
  EXPECT_GT(most, 1U);
  EXPECT_LE(most, 1U + 8U);
}

}  // namespace
}  // namespace sluice
