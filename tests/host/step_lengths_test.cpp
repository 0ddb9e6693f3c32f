// What a run learns of its steps' output lengths.
#include "host/calls/step_lengths.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(StepLengthsTest, SaysNothingBeforeItHasSeenEnough) {
  StepLengths lengths;
  const Hash256 step = sha256("summarize");
  for (std::size_t i = 0; i + 1 < StepLengths::kEnough; ++i) lengths.record(step, 20);
  EXPECT_EQ(lengths.expected(step), std::nullopt);
  lengths.record(step, 20);
  EXPECT_EQ(lengths.expected(step), 20U);
  EXPECT_EQ(lengths.expected(sha256("other")), std::nullopt);
}

TEST(StepLengthsTest, ThreeOfFourStayWithinIt) {
  StepLengths lengths;
  const Hash256 step = sha256("summarize");
  for (std::uint64_t tokens = 1; tokens <= 64; ++tokens) lengths.record(step, tokens);
  EXPECT_EQ(lengths.expected(step), 49U);
}

TEST(StepLengthsTest, ForgetsOldCallsAndBoundsItsSteps) {
  StepLengths lengths;
  const Hash256 step = sha256("summarize");
  for (int i = 0; i < 10; ++i) lengths.record(step, 1'000'000'000'000);
  for (std::size_t i = 0; i < StepLengths::kKept; ++i) lengths.record(step, 7);
  EXPECT_EQ(lengths.expected(step), 7U);
  for (std::size_t i = 0; i < StepLengths::kMostSteps + 10; ++i) {
    const Hash256 other = sha256(std::to_string(i));
    for (std::size_t n = 0; n < StepLengths::kEnough; ++n) lengths.record(other, 5);
  }
  EXPECT_EQ(lengths.expected(sha256("0")), 5U);
  EXPECT_EQ(lengths.expected(sha256(std::to_string(StepLengths::kMostSteps + 5))), std::nullopt);
}

}  // namespace
}  // namespace sluice
