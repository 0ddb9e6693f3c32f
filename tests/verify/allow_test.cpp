// `allow`: its form, its names, and that a produced plan has none.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/verify/checking.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string allowing(std::string_view allow) {
  return "sluice: 1\nallow: " + std::string(allow) + "\nsteps: {a: {value: 1}}\n";
}

TEST(Allow, NamesOfPasses) {
  const Checked checked =
      check_text(allowing("[reorder_templates, ask_together, drop_output_fields, "
                          "small_model_first, hedge_calls]"));
  EXPECT_THAT(checked.errors(), IsEmpty()) << checked.text();
  ASSERT_EQ(checked.plan->allow.size(), 5u);
  EXPECT_EQ(checked.plan->allow[0].value, "reorder_templates");
  EXPECT_EQ(checked.plan->allow[0].pos.column, 9u);
  EXPECT_THAT(check_text(allowing("[]")).errors(), IsEmpty());
}

TEST(Allow, NamesThatAreNone) {
  const Checked close = check_text(allowing("[reorder_template]"));
  EXPECT_THAT(close.errors(), ElementsAre("2:9 PASS_UNKNOWN"));
  EXPECT_THAT(close.text(), HasSubstr("no pass reorder_template; did you mean reorder_templates? "
                                      "(what can be allowed: ask_together, "));
  EXPECT_THAT(check_text(allowing("[nothing_like_it]")).text(),
              HasSubstr("no pass nothing_like_it (what can be allowed: "));
  const Checked exact = check_text(allowing("[hedge_calls, merge_equal_steps]"));
  EXPECT_THAT(exact.errors(), ElementsAre("2:22 PASS_UNKNOWN"));
  EXPECT_THAT(exact.text(),
              HasSubstr("merge_equal_steps changes no results and needs no allowance"));
}

TEST(Allow, WrongForms) {
  EXPECT_THAT(check_text(allowing("reorder_templates")).errors(), ElementsAre("2:8 VALUE_INVALID"));
  EXPECT_THAT(check_text(allowing("[3]")).errors(), ElementsAre("2:9 VALUE_INVALID"));
  const Checked step = check_text("sluice: 1\nsteps:\n  a: {value: 1, allow: [hedge_calls]}\n");
  EXPECT_THAT(step.errors(), ElementsAre("3:17 KEY_UNKNOWN"));
  EXPECT_THAT(step.text(), HasSubstr("allow is a key of the plan, not of a step"));
}

TEST(Allow, InsideOfSubPlans) {
  const Checked checked = check_text(
      "sluice: 1\nplans:\n  sub: {allow: [ask_togehter], steps: {a: {value: 1}}}\nsteps: {b: "
      "{plan: "
      "sub}}\n");
  EXPECT_THAT(checked.errors(), ElementsAre("3:17 PASS_UNKNOWN"));
}

TEST(Allow, NotInAProducedPlan) {
  const ParsedPlan parsed = parse_plan(allowing("[hedge_calls]"), "plan.yaml");
  const auto tools = catalog_of(*parsed.plan);
  Limits limits;
  limits.operators = {"value"};
  limits.steps = limits.tasks = 10;
  Diagnostics findings;
  verify_plan({*parsed.plan, *tools, &limits}, findings);
  ASSERT_TRUE(findings.has_errors());
  const auto& all = findings.all();
  const auto found = std::ranges::find(all, ErrorCode::kPlanRejected, &Diagnostic::code);
  ASSERT_NE(found, all.end());
  EXPECT_THAT(found->message, HasSubstr("allows no passes"));
}

TEST(Allow, IsPrinted) {
  const ParsedPlan parsed = parse_plan(allowing("[hedge_calls]"), "plan.yaml");
  for (const std::string& text : {print_plan_yaml(*parsed.plan), print_plan_json(*parsed.plan)}) {
    const ParsedPlan again = parse_plan(text, "again");
    ASSERT_TRUE(again.plan) << text;
    ASSERT_EQ(again.plan->allow.size(), 1u) << text;
    EXPECT_EQ(again.plan->allow[0].value, "hedge_calls");
    EXPECT_EQ(again.plan->source, parsed.plan->source);
  }
}

}  // namespace
}  // namespace sluice
