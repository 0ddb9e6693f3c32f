// `allow`: which passes it lets run, and what a step is afterwards.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "plan/allowed_passes.h"
#include "plan/lower.h"
#include "tests/optimize/optimizing.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// What the plan language knows of passes is what the optimizer has, in the same order.
TEST(Allow, TheLanguageKnowsThePasses) {
  std::vector<std::pair<std::string_view, bool>> known, there;
  for (const PassName& pass : kPassNames) known.emplace_back(pass.name, pass.needs_allowance);
  for (const PassInfo& pass : optimizer_passes()) {
    there.emplace_back(pass.name, pass.kind != PassClass::kExact);
  }
  EXPECT_EQ(known, there);
}

constexpr std::string_view kSteps =
    "  ask:\n"
    "    for_each: '{{ params.p }}'\n"
    "    llm: default\n"
    "    with: {messages: [{role: user, content: \"{{ item }}\\n\\nSay what it is about, in one "
    "word.\"}]}\n"
    "    output: {type: object, properties: {kind: {type: string}, why: {type: string}}}\n"
    "  kind: {for_each: '{{ steps.ask.output }}', value: '{{ item.kind }}'}\n"
    "result: '{{ steps.kind.output }}'\n";

TEST(Allow, NothingRunsUnallowed) {
  EXPECT_THAT(
      optimize_text(with_tools(kSteps), {"reorder_templates", "drop_output_fields"}).notes(),
      IsEmpty());
  const Optimized one = optimize_text(with_tools(kSteps, "allow: [drop_output_fields]\n"),
                                      {"reorder_templates", "drop_output_fields"});
  EXPECT_THAT(one.notes(), ElementsAre(HasSubstr("drop_output_fields ask: nothing reads why")));
}

TEST(Allow, ASwitchIsStronger) {
  const Optimized done =
      optimize_text(with_tools(kSteps, "allow: [drop_output_fields, reorder_templates]\n"),
                    {"reorder_templates"});
  EXPECT_THAT(done.notes(), ElementsAre(HasSubstr("reorder_templates ask: ")));
}

std::string within(std::string_view outer, std::string_view inner) {
  return with_tools(
      "  each: {for_each: [1, 2], plan: row}\n",
      fmt::format("{}plans:\n  row:\n    {}steps:\n      ask: {{llm: default, with: {{prompt: x}}, "
                  "output: {{type: object, properties: {{kind: {{type: string}}, why: {{type: "
                  "string}}}}}}}}\n    result: {{kind: '{{{{ steps.ask.output.kind }}}}'}}\n",
                  outer, inner));
}

TEST(Allow, CoversThePlansInside) {
  const std::vector<std::string> only = {"drop_output_fields"};
  constexpr std::string_view kAllow = "allow: [drop_output_fields]\n";
  EXPECT_THAT(optimize_text(within("", ""), only).notes(), IsEmpty());
  EXPECT_THAT(optimize_text(within(kAllow, ""), only).notes(),
              ElementsAre(HasSubstr("each/ask: nothing reads why")));
  EXPECT_THAT(optimize_text(within("", "allow: [drop_output_fields]\n    "), only).notes(),
              ElementsAre(HasSubstr("each/ask: nothing reads why")));
}

// Results of a step that an approximate pass changed are not those of the step as written: neither
// may be taken for the other, from a cache or from an equal call.
TEST(Allow, AChangedStepIsAnotherStep) {
  const std::string text = within("allow: [drop_output_fields]\n", "");
  const Optimized done = optimize_text(text, {"drop_output_fields"});
  const auto tools = catalog_of(*done.written);
  const auto written = lower_plan(done.written, *tools);
  ASSERT_TRUE(written);
  const PhysicalStep& before = (*written)->steps[0];
  EXPECT_NE(done.physical("each/ask").step_hash, before.plan->steps[0].step_hash);
  EXPECT_NE(done.physical("each").step_hash, before.step_hash) << "it runs that plan";
  EXPECT_EQ(done.plan.physical->plan_hash, (*written)->plan_hash);
  const Optimized exact = optimize_text(text, {"merge_equal_steps"});
  EXPECT_EQ(exact.physical("each/ask").step_hash, before.plan->steps[0].step_hash);
  EXPECT_EQ(exact.physical("each").step_hash, before.step_hash);
}

TEST(Allow, StepsThatAreNotChangedStayThemselves) {
  const std::string text = with_tools(kSteps, "allow: [drop_output_fields]\n");
  const Optimized done = optimize_text(text, {"drop_output_fields"});
  const auto tools = catalog_of(*done.written);
  const auto written = lower_plan(done.written, *tools);
  ASSERT_TRUE(written);
  for (const PhysicalStep& step : (*written)->steps) {
    const bool same = done.physical(step.logical.id).step_hash == step.step_hash;
    EXPECT_EQ(same, step.logical.id != "ask") << step.logical.id;
  }
}

}  // namespace
}  // namespace sluice
