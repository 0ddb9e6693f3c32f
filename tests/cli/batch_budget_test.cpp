// What may be spent on a batch: calls under way are counted before they end.
#include "cli/batch/batch_budget.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace sluice::cli {
namespace {

// A run with one model step, told by hand.
class Told {
 public:
  explicit Told(BatchBudget budget, bool anew = false) : keeper(budget, anew) {
    step_.logical.op = OperatorKind::kLlm;
    step_.logical.id = "ask";
  }
  TraceEvent event(TraceKind kind) {
    TraceEvent made;
    made.at = ++now;
    made.kind = kind;
    made.step = &step_;
    return made;
  }
  void plain(TraceKind kind) {
    TraceEvent made;
    made.at = ++now;
    made.kind = kind;
    keeper.on_trace(made);
  }
  // Whether it may leave.
  bool start() {
    if (!keeper.lets(step_)) return false;
    keeper.on_trace(event(TraceKind::kCallStarted));
    return true;
  }
  void end(std::uint64_t tokens, double usd = 0, bool cached = false) {
    TraceEvent ended = event(TraceKind::kCallEnded);
    ended.usage.prompt_tokens = tokens;
    ended.usage.usd = usd;
    ended.cached = cached;
    keeper.on_trace(ended);
  }

  BudgetKeeper keeper;
  SteadyNs now = 0;

 private:
  PhysicalStep step_;
};

BatchBudget tokens(double most) { return {.tokens = most, .usd = {}, .seconds = {}}; }

void make_calls(Told& told, int count, std::uint64_t each, double usd = 0) {
  for (int i = 0; i < count; ++i) {
    ASSERT_TRUE(told.start());
    told.end(each, usd);
  }
}

TEST(Budget, CallsUnderWayAreSetAside) {
  Told told(tokens(1'000));
  make_calls(told, 5, 100);
  for (int open = 1; open <= 5; ++open) EXPECT_TRUE(told.start()) << open;
  EXPECT_FALSE(told.start()) << "500 used, 5 under way";
  EXPECT_NE(told.keeper.words().find("500 of 1,000 tokens"), std::string::npos)
      << told.keeper.words();
  told.end(0);
  EXPECT_FALSE(told.start()) << "once it is reached it stays so";
}

TEST(Budget, BeforeAnyCallHasEndedTheEstimateCounts) {
  Told told(tokens(1'000));
  PlanEstimate estimate;
  estimate.steps.resize(1);
  estimate.steps[0].id = "row/ask";
  estimate.steps[0].calls = Estimate::exact(10);
  estimate.steps[0].prompt_tokens = Estimate::exact(300);
  estimate.steps[0].completion_tokens = Estimate::exact(50);
  told.keeper.expect(estimate);
  EXPECT_TRUE(told.start());
  EXPECT_TRUE(told.start());
  EXPECT_FALSE(told.start());
}

TEST(Budget, MoneyIsSetAsideToo) {
  Told told({.tokens = {}, .usd = 1.05, .seconds = {}});
  make_calls(told, 8, 10, 0.1);
  EXPECT_TRUE(told.start());
  EXPECT_TRUE(told.start());
  EXPECT_FALSE(told.start());
}

TEST(Budget, WhatComesFromOtherCallsCostsNothing) {
  Told told(tokens(1'000));
  make_calls(told, 5, 100);
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(told.start());
    told.end(0, 0, true);
  }
  EXPECT_TRUE(told.start());
}

// Calls of differing lengths, 32 at once: the end is near the budget, and hardly ever beyond it.
TEST(Budget, IsHardlyEverExceeded) {
  constexpr double kMost = 100'000;
  int beyond = 0;
  double left = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Random chance(seed);
    Told told(tokens(kMost));
    double used = 0;
    int open = 0;
    bool stopped = false;
    while (!stopped || open > 0) {
      if (!stopped && open < 32) {
        stopped = !told.start();
        if (!stopped) ++open;
        continue;
      }
      const auto took = 50 + chance.below(300);
      told.end(took);
      used += static_cast<double>(took);
      --open;
    }
    if (used > kMost) ++beyond;
    left += (kMost - used) / kMost / 200;
  }
  EXPECT_LE(beyond, 8);
  EXPECT_LT(left, 0.05) << "and little of it is left unspent";
}

TEST(Budget, OfARunThatGoesOnIsWhatIsLeft) {
  for (const bool anew : {false, true}) {
    SCOPED_TRACE(anew);
    Told told(tokens(1'000), anew);
    told.plain(TraceKind::kRecoveryBegan);
    for (int i = 0; i < 9; ++i) told.end(100);
    told.plain(TraceKind::kRecovered);
    EXPECT_TRUE(told.start());
    EXPECT_EQ(told.start(), anew);
  }
}

TEST(Budget, MeasuringQualityIsPartOfIt) {
  Told told(tokens(1'000));
  make_calls(told, 6, 100);
  EXPECT_TRUE(told.start()) << "under way when the sample's run ends, and never told of again";
  told.keeper.measured();
  EXPECT_EQ(told.keeper.measured_tokens(), 600);
  make_calls(told, 2, 100);
  EXPECT_TRUE(told.start());
  EXPECT_TRUE(told.start());
  EXPECT_FALSE(told.start()) << "600 and 200 used, 200 under way";
  EXPECT_EQ(told.keeper.words(),
            "800 of 1,000 tokens are used (600 of them to measure quality), and calls that are due "
            "want about 300");
}

TEST(Budget, TheTimeOfMeasuringCounts) {
  Told told({.tokens = {}, .usd = {}, .seconds = 5.0});
  EXPECT_TRUE(told.start());
  told.now += 3 * kNsPerSecond;
  told.end(1);
  told.keeper.measured();
  told.now = 0;  // another run, another life
  EXPECT_TRUE(told.start());
  EXPECT_FALSE(told.keeper.time_is_over(told.now + kNsPerSecond));
  EXPECT_TRUE(told.keeper.time_is_over(told.now + 2 * kNsPerSecond));
}

TEST(Budget, TimeRunsFromTheFirstCall) {
  Told told({.tokens = {}, .usd = {}, .seconds = 2.0});
  EXPECT_FALSE(told.keeper.time_is_over(100 * kNsPerSecond)) << "nothing was called yet";
  EXPECT_TRUE(told.start());
  EXPECT_FALSE(told.keeper.time_is_over(told.now + kNsPerSecond));
  EXPECT_TRUE(told.keeper.time_is_over(told.now + 2 * kNsPerSecond));
  EXPECT_FALSE(told.keeper.words().empty());
}

}  // namespace
}  // namespace sluice::cli
