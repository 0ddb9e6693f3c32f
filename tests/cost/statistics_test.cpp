#include <gtest/gtest.h>

#include "cost/observed.h"
#include "cost/step_statistics.h"
#include "data/json.h"

namespace sluice {
namespace {

StepStatistics sample() {
  StepStatistics made;
  made.tasks = 10;
  made.failed = 2;
  made.conditions = 30;
  made.held = 10;
  made.calls = 12;
  made.equal_calls = 3;
  made.cached = 4;
  made.shared_tokens = 700;
  made.usd = 0.5;
  for (int i = 1; i <= 12; ++i) {
    made.seconds.add(i * 0.1);
    made.prompt_tokens.add(100 + i);
    made.completion_tokens.add(i);
  }
  made.items.add(600);
  return made;
}

TEST(StepStatistics, ComeBackFromTheirText) {
  const StepStatistics made = sample();
  auto json = parse_json(to_json(made.to_json()));
  ASSERT_TRUE(json.has_value());
  auto back = StepStatistics::from_json(*json);
  ASSERT_TRUE(back.has_value()) << back.error().to_string();
  EXPECT_EQ(to_json(back->to_json()), to_json(made.to_json()));
  EXPECT_EQ(to_json(StepStatistics{}.to_json()), "{}") << "what is zero is not written";
  EXPECT_TRUE(StepStatistics::from_json(*parse_json("{}")).has_value());
}

TEST(StepStatistics, RefuseWhatIsNone) {
  for (const char* text : {"[]", R"({"tasks":-1})", R"({"tasks":1.5})", R"({"usd":-1})",
                           R"({"usd":"1"})", R"({"seconds":{}})", R"({"items":3})"}) {
    EXPECT_FALSE(StepStatistics::from_json(*parse_json(text)).has_value()) << text;
  }
}

TEST(StepStatistics, MergeAddsAndAgeHalves) {
  StepStatistics both = sample();
  both.merge(sample());
  EXPECT_EQ(both.tasks, 20U);
  EXPECT_EQ(both.seconds.count(), 24U);
  EXPECT_DOUBLE_EQ(both.usd, 1.0);
  both.age();
  EXPECT_EQ(both.held, 10U);
  EXPECT_EQ(both.failed, 2U);
  EXPECT_EQ(both.seconds.count(), 12U);
  EXPECT_NEAR(both.seconds.mean(), sample().seconds.mean(), 0.05);
}

class Kept final : public StatisticsStore {
 public:
  std::optional<StepStatistics> find(const Hash256& step) const override {
    ++asked;
    const auto found = table.find(step);
    return found == table.end() ? std::nullopt : std::optional(found->second);
  }
  void add(const StatisticsTable&) override {}
  std::string problem() const override { return ""; }

  StatisticsTable table;
  mutable int asked = 0;
};

TEST(Observed, AnEnoughSampleGoesFirstThenHistoryThenALittleSample) {
  Kept history;
  StatisticsTable sampled;
  CostInputs inputs{.history = &history, .sample = &sampled};
  const Hash256 step = sha256("s");
  auto seconds = [&] {
    Observed observed(inputs);
    return observed.find(step).distribution(&StepStatistics::seconds);
  };
  EXPECT_FALSE(seconds().has_value());
  for (int i = 0; i < 7; ++i) sampled[step].seconds.add(3);
  ASSERT_TRUE(seconds().has_value());
  EXPECT_EQ(seconds()->source, EstimateSource::kSample);
  history.table[step].seconds.add(1);
  EXPECT_EQ(seconds()->source, EstimateSource::kHistory);
  EXPECT_NEAR(seconds()->middle, 1, 1e-9);
  sampled[step].seconds.add(3);
  EXPECT_EQ(seconds()->source, EstimateSource::kSample);
  EXPECT_NEAR(seconds()->middle, 3, 1e-9);
  Observed once(inputs);
  history.asked = 0;
  once.find(step);
  once.find(step);
  EXPECT_EQ(history.asked, 1);
}

TEST(Observed, SharesCarryTheirDoubt) {
  const Estimate few = probability(1, 2, 0.5, 2, EstimateSource::kHistory);
  const Estimate many = probability(500, 1000, 0.5, 2, EstimateSource::kHistory);
  EXPECT_DOUBLE_EQ(few.middle, 0.5);
  EXPECT_DOUBLE_EQ(many.middle, 0.5);
  EXPECT_LT(many.high - many.low, 0.1 * (few.high - few.low));
  const Estimate never = probability(0, 3, 0.5, 2, EstimateSource::kHistory);
  EXPECT_GT(never.middle, 0) << "three tries are no proof";
  EXPECT_LT(probability(0, 1000, 0.5, 2, EstimateSource::kHistory).middle, 0.002);
}

TEST(Estimate, SumsOfManyObservedThingsVaryLess) {
  const Estimate observed{2, 1, 4, EstimateSource::kHistory};
  const Estimate supposed{2, 1, 4, EstimateSource::kDefault};
  const Estimate hundred = Estimate::exact(100);
  EXPECT_DOUBLE_EQ(total_of(hundred, observed).middle, 200);
  EXPECT_DOUBLE_EQ(total_of(hundred, observed).low, 190);
  EXPECT_DOUBLE_EQ(total_of(hundred, observed).high, 220);
  EXPECT_DOUBLE_EQ(total_of(hundred, supposed).low, 100);
  EXPECT_DOUBLE_EQ(total_of(hundred, supposed).high, 400);
  EXPECT_EQ((observed + supposed).source, EstimateSource::kDefault);
  EXPECT_EQ((observed * Estimate::exact(3)).source, EstimateSource::kHistory);
  EXPECT_EQ(estimate_source_name(EstimateSource::kSample), "sample");
}

}  // namespace
}  // namespace sluice
