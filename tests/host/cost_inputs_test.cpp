// What estimates are made from on this machine.
#include "host/resources/cost_inputs.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cstdlib>
#include <string>

#include "cost/prices.h"
#include "data/json.h"
#include "engine/calibrate.h"
#include "host/resources/weights.h"
#include "plan/parse.h"
#include "tests/host/scratch_dir.h"

namespace sluice {
namespace {

class CostInputsTest : public testing::Test {
 protected:
  ToolEnvironment environment() {
    ToolEnvironment made;
    made.io = io.get_executor();
    made.blocking = pool.get_executor();
    made.work_dir = dir.path();
    made.temp_dir = dir.path();
    made.clock = &system_clock();
    return made;
  }
  // `models`: of the plan.
  CostInputs inputs_of(const std::string& models, const std::string& steps, bool open) {
    ParsedPlan parsed = parse_plan("sluice: 1\n" + models + "steps:\n" + steps, "test.yaml");
    for (const auto& each : parsed.diagnostics.all()) {
      ADD_FAILURE() << format_diagnostic(each, {"test.yaml"});
    }
    ResourceOptions options;
    options.models.cache_dir = dir.path() / "cache";
    options.models.location = server;
    options.threads = 2;
    resources = std::make_unique<Resources>(options, environment());
    EXPECT_TRUE(resources->open_tools(parsed.plan).has_value());
    if (open) {
      auto opened = resources->open_models();
      EXPECT_TRUE(opened.has_value()) << opened.error().to_string();
    }
    return make_cost_inputs(*resources->scope(parsed.plan.get()), *resources, nullptr, nullptr);
  }

  ScratchDir dir;
  std::string server;  // that stands for `default`
  boost::asio::io_context io;
  boost::asio::thread_pool pool{1};
  std::unique_ptr<Resources> resources;
};

TEST_F(CostInputsTest, PricesAndLimitsOfServers) {
  const CostInputs inputs = inputs_of(
      "models:\n"
      "  big: {kind: openai, url: 'http://127.0.0.1:1/v1', price: {prompt: 0.5, completion: 2}, "
      "sampling: {max_tokens: 30}}\n"
      "  free: {kind: openai, url: 'http://127.0.0.1:1/v1'}\n",
      "  a: {llm: big, with: {prompt: x}}\n  b: {llm: free, with: {prompt: x}}\n", true);
  const ModelCost& big = inputs.models.at("big");
  EXPECT_DOUBLE_EQ(big.usd_per_prompt_token, 0.5e-6);
  EXPECT_DOUBLE_EQ(big.usd_per_completion_token, 2e-6);
  EXPECT_EQ(big.max_tokens, 30);
  EXPECT_FALSE(big.instance);
  EXPECT_FALSE(big.count_tokens) << "its tokenizer is not here";
  EXPECT_EQ(big.parallel, 64U);
  EXPECT_EQ(inputs.models.at("free").usd_per_prompt_token, 0);
  EXPECT_GE(inputs.code_parallel, 1U);
}

TEST_F(CostInputsTest, AlsoBeforeModelsAreOpen) {
  const CostInputs inputs =
      inputs_of("models: {big: {kind: openai, url: 'http://127.0.0.1:1/v1', price: {prompt: 1}}}\n",
                "  a: {llm: big, with: {prompt: x}}\n", false);
  EXPECT_DOUBLE_EQ(inputs.models.at("big").usd_per_prompt_token, 1e-6);
  EXPECT_EQ(inputs.models.at("big").usd_per_completion_token, 0);
  EXPECT_EQ(inputs.models.at("big").parallel, 64U) << "as many places as when it is open";
}

TEST_F(CostInputsTest, ADefaultModelMayBeAServer) {
  const std::string steps = "  a: {llm: default, with: {prompt: x}}\n";
  EXPECT_EQ(inputs_of("", steps, false).models.at("default").parallel, 16U) << "nothing is known";
  server = "http://127.0.0.1:1/v1#small";
  for (const bool open : {false, true}) {
    EXPECT_EQ(inputs_of("", steps, open).models.at("default").parallel, 64U) << open;
  }
}

TEST_F(CostInputsTest, ACalibratedModelWithItsTokenizer) {
  const char* model = std::getenv("SLUICE_TEST_MODEL");
  if (model == nullptr) GTEST_SKIP() << "SLUICE_TEST_MODEL is not set";
  const std::string models =
      "models: {small: {kind: embedded, file: " + std::string(model) + ", context: 256}}\n";
  const std::string steps = "  a: {llm: small, with: {prompt: x}}\n";
  {
    const CostInputs inputs = inputs_of(models, steps, true);
    const ModelCost& small = inputs.models.at("small");
    EXPECT_FALSE(small.instance) << "nothing was measured, and nothing is";
    ASSERT_TRUE(small.count_tokens);
    const std::uint64_t tokens = small.count_tokens("The quick brown fox jumps over the dog.");
    EXPECT_GE(tokens, 8U);
    EXPECT_LE(tokens, 14U);
    EXPECT_EQ(small.count_tokens("The quick brown fox jumps over the dog."), tokens);
    const std::string text(100'000, 'a');
    EXPECT_GT(small.count_tokens(text), 1000U) << "its beginning counted, the rest by its length";
  }
  // As `sluice models calibrate` leaves it.
  const std::string hash = resources->models().front()->instance->info().file_hash;
  auto parts = InstanceCost::defaults().parts();
  parts.measured_on = "here";
  auto attention = own_attention();
  ASSERT_TRUE(attention.has_value());
  const auto file = calibration_file(calibration_folder(dir.path() / "cache"), hash,
                                     {.threads = 2, .own_attention = *attention});
  ASSERT_TRUE(write_calibration(file, *InstanceCost::make(parts)).has_value());
  const CostInputs inputs = inputs_of(models, steps, true);
  ASSERT_TRUE(inputs.models.at("small").instance);
  EXPECT_EQ(inputs.models.at("small").instance->parts().measured_on, "here");
  EXPECT_EQ(inputs.models.at("small").parallel, 16U);
}

TEST(Prices, AreDollarsForAMillionTokens) {
  const struct {
    const char* settings;
    double prompt, completion;
  } cases[] = {
      {R"({})", 0, 0},
      {R"({"price":{}})", 0, 0},
      {R"({"price":{"prompt":3}})", 3e-6, 0},
      {R"({"price":{"prompt":0.15,"completion":0.6}})", 0.15e-6, 0.6e-6},
      {R"({"price":{"prompt":-1,"completion":"x"}})", 0, 0},
      {R"({"price":5})", 0, 0},
  };
  for (const auto& each : cases) {
    const ModelPrice price = price_of(*parse_json(each.settings));
    EXPECT_DOUBLE_EQ(price.usd_per_prompt_token, each.prompt) << each.settings;
    EXPECT_DOUBLE_EQ(price.usd_per_completion_token, each.completion) << each.settings;
  }
}

}  // namespace
}  // namespace sluice
