#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <cmath>

namespace sluice {
namespace {

TEST(SamplerTest, GreedyTakesTheBestAndTheLowestOfEqualOnes) {
  Sampler sampler({}, 0);
  std::vector<float> logits{1, 3, 3, 2};
  EXPECT_EQ(sampler.pick(logits, {}), 1);
  std::vector<std::int32_t> mask{0b1001};
  EXPECT_EQ(sampler.pick(logits, mask), 3);
  mask = {0};
  EXPECT_EQ(sampler.pick(logits, mask), -1);
}

TEST(SamplerTest, DrawsWithTheRightFrequencies) {
  Sampler sampler({.temperature = 2}, 7);
  std::vector<float> logits{0, 2, 4, -90};
  std::vector<int> seen(4);
  constexpr int kDraws = 100'000;
  for (int i = 0; i < kDraws; ++i) ++seen[static_cast<std::size_t>(sampler.pick(logits, {}))];
  double total = 1 + std::exp(1.0) + std::exp(2.0);
  for (int i = 0; i < 3; ++i) {
    EXPECT_NEAR(seen[static_cast<std::size_t>(i)], kDraws * std::exp(i) / total, kDraws * 0.01);
  }
  EXPECT_EQ(seen[3], 0);
}

TEST(SamplerTest, TopPKeepsTheFewestThatReachIt) {
  std::vector<float> logits{std::log(0.5F), std::log(0.3F), std::log(0.2F)};
  struct Case {
    double top_p;
    int tokens;
  };
  for (auto [top_p, tokens] : {Case{0.4, 1}, Case{0.6, 2}, Case{0.75, 2}, Case{0.9, 3}}) {
    Sampler sampler({.temperature = 1, .top_p = top_p}, 3);
    int highest = 0;
    for (int i = 0; i < 2000; ++i) highest = std::max(highest, sampler.pick(logits, {}));
    EXPECT_EQ(highest + 1, tokens) << top_p;
  }
}

TEST(SamplerTest, TheSameSeedGivesTheSameTokens) {
  std::vector<float> logits(100, 0.0F);
  auto draw = [&](std::uint64_t seed) {
    Sampler sampler({.temperature = 1}, seed);
    std::vector<Token> out;
    for (int i = 0; i < 20; ++i) out.push_back(sampler.pick(logits, {}));
    return out;
  };
  EXPECT_EQ(draw(1), draw(1));
  EXPECT_NE(draw(1), draw(2));
}

TEST(SamplerTest, LogprobsAreTheModelsOwn) {
  std::vector<float> logits{std::log(0.25F), std::log(0.5F), std::log(0.25F)};
  Logprobs found = logprobs(logits, 2, 2);
  EXPECT_NEAR(found.chosen, std::log(0.25), 1e-6);
  ASSERT_EQ(found.top.size(), 2U);
  EXPECT_EQ(found.top[0].first, 1);
  EXPECT_NEAR(found.top[0].second, std::log(0.5), 1e-6);
  EXPECT_EQ(found.top[1].first, 0);
}

}  // namespace
}  // namespace sluice
