// What `sluice batch` tells before and while it spends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/batch/batch_estimate.h"
#include "cli/batch/batch_watcher.h"

namespace sluice::cli {
namespace {

using testing::HasSubstr;

TEST(BatchForecast, ScalesWhatTheSampleTook) {
  BatchSample sample;
  for (int i = 0; i < 10; ++i) sample.rows.push_back({.tokens = 100, .usd = 0.01, .busy_s = 2});
  sample.seconds = 5;
  sample.tokens = 1000;
  sample.usd = 0.1;
  const BatchForecast all = forecast(sample, 1000);
  EXPECT_DOUBLE_EQ(all.tokens.middle, 100'000);
  EXPECT_DOUBLE_EQ(all.tokens.low, 100'000) << "equal rows leave no doubt";
  EXPECT_DOUBLE_EQ(all.seconds.middle, 500);
  EXPECT_DOUBLE_EQ(all.usd.high, 10);
  EXPECT_EQ(all.usd.source, EstimateSource::kSample);
  EXPECT_EQ(forecast_text(all),
            "about 8 min 20 s (8 min 20 s to 8 min 20 s), 100,000 tokens (100,000 to 100,000), "
            "10.00 usd (10.00 to 10.00)");
}

TEST(BatchForecast, HasARangeThatNarrowsWithTheSample) {
  auto width = [](int rows) {
    BatchSample sample;
    for (int i = 0; i < rows; ++i) {
      sample.rows.push_back({.tokens = i % 2 == 0 ? 50.0 : 150.0, .usd = 0, .busy_s = 1});
      sample.tokens += sample.rows.back().tokens;
    }
    const Estimate tokens = forecast(sample, 1000).tokens;
    EXPECT_DOUBLE_EQ(tokens.middle, 100'000);
    return (tokens.high - tokens.low) / tokens.middle;
  };
  EXPECT_NEAR(width(100), 2 * 1.2816 * 0.5 / 10, 0.01);
  EXPECT_GT(width(4), 3 * width(100));
}

TEST(BatchForecast, OfNothingIsNothing) {
  EXPECT_EQ(forecast({}, 1000).tokens.middle, 0);
  BatchSample one;
  one.rows.push_back({.tokens = 10, .usd = 0, .busy_s = 1});
  one.tokens = 10;
  const Estimate tokens = forecast(one, 10).tokens;
  EXPECT_LT(tokens.low, tokens.middle) << "one row says little";
}

TEST(BatchBudgets, AreNamedBounds) {
  auto budget = parse_batch_budget({"usd=0.5", "tokens=1000", "seconds=60"});
  ASSERT_TRUE(budget);
  EXPECT_EQ(budget->usd, 0.5);
  EXPECT_EQ(budget->tokens, 1000);
  EXPECT_EQ(budget->seconds, 60);
  EXPECT_FALSE(parse_batch_budget({})->tokens.has_value());
  for (const char* bad : {"5", "usd", "usd=", "=5", "usd=-1", "usd=5x", "euro=5", "tokens=0"}) {
    auto refused = parse_batch_budget({bad});
    ASSERT_FALSE(refused) << bad;
    EXPECT_THAT(refused.error().message(), HasSubstr("--budget takes usd=5"));
  }
}

}  // namespace
}  // namespace sluice::cli
