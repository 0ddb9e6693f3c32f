#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

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

// Choose without a mask, again with it where that is forbidden.
TEST(SamplerTest, AMaskThatWaitsChangesNothing) {
  std::vector<float> logits{0, 1, 2, 1.5};
  std::vector<std::int32_t> mask{0b1011};
  Sampler greedy({}, 0);
  ASSERT_TRUE(greedy.mask_can_wait());
  EXPECT_EQ(greedy.pick(logits, mask), 3);
  EXPECT_FALSE(Sampler({.temperature = 1, .top_p = 0.9}, 0).mask_can_wait());
  Sampler sampler({.temperature = 1}, 5);
  ASSERT_TRUE(sampler.mask_can_wait());
  std::vector<int> seen(4);
  constexpr int kDraws = 100'000;
  for (int i = 0; i < kDraws; ++i) {
    Token token = sampler.pick(logits, {});
    if (!allowed(mask, static_cast<std::size_t>(token))) token = sampler.pick(logits, mask);
    ++seen[static_cast<std::size_t>(token)];
  }
  double total = 1 + std::exp(1.0) + std::exp(1.5);
  EXPECT_EQ(seen[2], 0);
  for (int i : {0, 1, 3}) {
    auto at = static_cast<std::size_t>(i);
    EXPECT_NEAR(seen[at], kDraws * std::exp(logits[at]) / total, kDraws * 0.01);
  }
}

// The greatest is found wherever it stands, also behind whole words of a mask and in the last one.
TEST(SamplerTest, GreedyLooksAtEveryToken) {
  Random random(3);
  for (int round = 0; round < 200; ++round) {
    std::vector<float> logits(1 + random.below(150));
    for (float& logit : logits) logit = static_cast<float>(random.below(20)) - 30;
    std::vector<std::int32_t> mask(logits.size() / 32 + 1);
    for (std::int32_t& word : mask) {
      std::uint64_t kind = random.below(4);
      word = kind == 0 ? 0 : kind == 1 ? -1 : static_cast<std::int32_t>(random.next());
    }
    Token best = -1;
    for (std::size_t i = 0; i < logits.size(); ++i) {
      bool better = best < 0 || logits[i] > logits[static_cast<std::size_t>(best)];
      if (allowed(mask, i) && better) best = static_cast<Token>(i);
    }
    EXPECT_EQ(Sampler({}, 0).pick(logits, mask), best);
    EXPECT_EQ(Sampler({}, 0).pick(logits, {}), std::ranges::max_element(logits) - logits.begin());
  }
  std::vector<float> nothing(40, -std::numeric_limits<float>::infinity());
  EXPECT_EQ(Sampler({}, 0).pick(nothing, {}), 0);
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

// The sum over the vocabulary is computed with a polynomial: as good as the library's.
TEST(SamplerTest, LogprobsAreExactEnough) {
  Random random(7);
  for (std::size_t count : {1U, 7U, 16U, 33U, 49'152U}) {
    for (double width : {0.1, 8.0, 60.0, 400.0}) {
      std::vector<float> logits(count);
      for (float& logit : logits) logit = static_cast<float>((random.unit() - 0.5) * width);
      const double most = *std::ranges::max_element(logits);
      double sum = 0;
      for (float logit : logits) sum += std::exp(static_cast<double>(logit) - most);
      for (std::size_t token : {std::size_t{0}, count / 2, count - 1}) {
        const double exact = logits[token] - most - std::log(sum);
        const double found = logprobs(logits, static_cast<Token>(token), 0).chosen;
        EXPECT_NEAR(found, exact, 2e-6 * (1 + std::abs(exact))) << count << " " << width;
        EXPECT_LE(found, 0);
      }
    }
  }
}

}  // namespace
}  // namespace sluice
