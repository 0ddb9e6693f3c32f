// small_model_first: which steps ask another model first, and how sure that one has to be.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "plan/physical_codec.h"
#include "tests/optimize/optimizing.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string plan_text(std::string_view allow, std::string_view large, std::string_view steps) {
  return fmt::format(R"(sluice: 1
{}
tools: {{calc: {{kind: process, command: calc, effect: pure}}}}
models:
  small: {{kind: openai, url: "http://m", model: s}}
  large: {{kind: openai, url: "http://m", model: l, {}}}
steps:
{})",
                     allow, large, steps);
}

constexpr std::string_view kAllow = "allow: [small_model_first]";
constexpr std::string_view kSteps = R"(
  a: {llm: large, with: {prompt: "hello"}}
  b: {llm: small, with: {prompt: "hello"}}
  c: {llm: large, with: {prompt: "hello", tools: [calc]}}
)";

Optimized advised(std::string_view allow, std::string_view large, std::string_view steps = kSteps) {
  return optimize_text(plan_text(allow, large, steps), {"small_model_first"});
}

TEST(SmallModelFirst, AsTheSettingsSay) {
  Optimized done = advised(kAllow, "first: small");
  EXPECT_EQ(done.physical("a").advice.first_model, "small");
  EXPECT_DOUBLE_EQ(done.physical("a").advice.least_logprob, std::log(0.9));
  EXPECT_EQ(done.physical("b").advice.first_model, "");
  EXPECT_EQ(done.physical("c").advice.first_model, "");
  EXPECT_THAT(done.notes(),
              ElementsAre("small_model_first a: small is asked first; large where its confidence "
                          "is below 0.9",
                          "small_model_first refused c: it offers tools: its turns are of one "
                          "model"));
  EXPECT_DOUBLE_EQ(
      advised(kAllow, "first: small, least_confidence: 1").physical("a").advice.least_logprob, 0);
  EXPECT_DOUBLE_EQ(
      advised(kAllow, "first: small, least_confidence: 0.5").physical("a").advice.least_logprob,
      std::log(0.5));
}

TEST(SmallModelFirst, OnlyWhereItIsAllowedAndSaid) {
  EXPECT_THAT(advised("", "first: small").notes(), IsEmpty());
  EXPECT_THAT(advised(kAllow, "concurrency: 2").notes(), IsEmpty());
  EXPECT_EQ(advised("", "first: small").physical("a").advice.first_model, "");
}

TEST(SmallModelFirst, IsRecorded) {
  Optimized done = advised(kAllow, "first: small, least_confidence: 0.7");
  auto again = decode_physical(encode_physical(*done.plan.physical), done.written);
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ((*again)->steps[0].advice, done.physical("a").advice);
}

TEST(SmallModelFirst, InSubPlansToo) {
  Optimized done = optimize_text(
      plan_text(kAllow, "first: small",
                "  each: {for_each: [1], plan: row}\n"
                "plans:\n"
                "  row: {sluice: 1, steps: {ask: {llm: large, with: {prompt: hello}}}}\n"),
      {"small_model_first"});
  EXPECT_EQ(done.physical("each/ask").advice.first_model, "small");
}

TEST(SmallModelFirst, SettingsAreCheckedInAnyCase) {
  const std::pair<const char*, const char*> cases[] = {
      {"first: smal", "did you mean small?"},
      {"first: large", "asked before itself"},
      {"least_confidence: 0.9", "name that model"},
      {"first: small, least_confidence: 0", "least_confidence"},
      {"first: small, least_confidence: 1.5", "least_confidence"},
      {"first: 3", "first"},
  };
  for (const auto& [settings, words] : cases) {
    ParsedPlan parsed =
        parse_plan(plan_text("", settings, "  a: {llm: large, with: {prompt: hi}}\n"), "plan.yaml");
    ASSERT_TRUE(parsed.plan);
    auto tools = catalog_of(*parsed.plan);
    verify_plan({*parsed.plan, *tools, nullptr}, parsed.diagnostics);
    ASSERT_TRUE(parsed.diagnostics.has_errors()) << settings;
    const Diagnostic& first = parsed.diagnostics.all()[0];
    EXPECT_THAT(format_diagnostic(first, parsed.plan->files), HasSubstr(words)) << settings;
  }
}

}  // namespace
}  // namespace sluice
