// Which model calls earlier runs may answer, and which not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "plan/physical_codec.h"
#include "tests/optimize/optimizing.h"

namespace sluice {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kModels = R"(sluice: 1
params: {p: {}}
tools: {calc: {kind: process, command: calc, effect: pure}}
models:
  far: {kind: openai, url: 'http://m', model: small}
  warm: {kind: openai, url: 'http://m', model: small, sampling: {temperature: 0.7, seed: 3}}
  here: {kind: embedded, file: m.gguf, deterministic: true}
)";

TEST(ReuseResults, PureModelCallsOnly) {
  auto done = optimize_text(std::string(kModels) + R"(steps:
  unlisted: {llm: default, with: {prompt: "{{ params.p }}"}}
  greedy: {llm: far, with: {prompt: "{{ params.p }}"}}
  cold: {llm: warm, with: {prompt: "{{ params.p }}", temperature: 0}}
  mapped: {for_each: "{{ params.p }}", llm: here, with: {prompt: "{{ item }}"}}
  seeded: {llm: here, with: {prompt: "{{ params.p }}", temperature: 1, seed: 3}}
  sampled: {llm: here, with: {prompt: "{{ params.p }}", temperature: 1}}
  far_seeded: {llm: far, with: {prompt: "{{ params.p }}", temperature: 1, seed: 3}}
  model_seeded: {llm: warm, with: {prompt: "{{ params.p }}"}}
  agent: {llm: here, with: {prompt: "{{ params.p }}", tools: [calc]}}
  stated: {llm: here, cache: {ttl: 1h}, with: {prompt: "{{ params.p }}"}}
  counted: {tool: calc, with: {args: ["{{ params.p }}"]}}
  made: {code: "def main(x): return x", with: {x: "{{ params.p }}"}}
)",
                            {"reuse_results"});
  const std::vector<std::pair<const char*, bool>> wanted = {
      {"unlisted", true},      {"greedy", true},   {"cold", true},     {"mapped", true},
      {"seeded", true},        {"sampled", false}, {"agent", false},   {"far_seeded", false},
      {"model_seeded", false}, {"stated", false},  {"counted", false}, {"made", false}};
  for (const auto& [id, reuses] : wanted) {
    EXPECT_EQ(done.physical(id).advice.reuse_results, reuses) << id;
  }
  EXPECT_THAT(done.notes(),
              Contains("reuse_results greedy: answers of earlier runs stand for equal calls"));
  EXPECT_THAT(done.notes(),
              Contains("reuse_results refused far_seeded: a server need not honour the seed"));
}

TEST(ReuseResults, InSubPlansTooAndRecorded) {
  auto done = optimize_text(std::string(kModels) + R"(plans:
  row:
    sluice: 1
    params: {text: {}}
    steps: {ask: {llm: default, with: {prompt: "{{ params.text }}"}}}
    result: "{{ steps.ask.output }}"
steps:
  each: {for_each: "{{ params.p }}", plan: row, with: {text: "{{ item }}"}}
)",
                            {"reuse_results"});
  EXPECT_TRUE(done.physical("each/ask").advice.reuse_results);
  auto back = decode_physical(encode_physical(*done.plan.physical), done.written);
  ASSERT_TRUE(back.has_value()) << back.error().to_string();
  EXPECT_TRUE((*back)->steps[0].plan->steps[0].advice.reuse_results);
}

TEST(ReuseResults, ASwitchKeepsItAway) {
  auto done = optimize_text(std::string(kModels) + R"(steps:
  ask: {llm: default, with: {prompt: "{{ params.p }}"}}
)",
                            {"share_equal_calls"});
  EXPECT_FALSE(done.physical("ask").advice.reuse_results);
  EXPECT_THAT(done.notes(), Not(Contains(HasSubstr("reuse_results"))));
}

}  // namespace
}  // namespace sluice
