#include "schedule/lifetime/return_times.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"

namespace sluice {
namespace {

TEST(ReturnTimesTest, SaysSomethingSensibleBeforeItKnowsAnything) {
  ReturnTimes times;
  EXPECT_EQ(times.returns_within("tool", 0, 0), 0);
  double soon = times.returns_within("tool", 0, 2);
  double later = times.returns_within("tool", 0, 60);
  EXPECT_GT(soon, 0.1);
  EXPECT_GT(later, soon);
  EXPECT_LT(later, 1);
  EXPECT_LT(times.returns_within("tool", 100, 2), soon) << "who is away for long stays away";
}

TEST(ReturnTimesTest, LearnsATool) {
  ReturnTimes times;
  for (int i = 0; i < 50; ++i) {
    times.record("fast", 1.0 + 0.01 * i);
    times.record("slow", 30 + i);
  }
  EXPECT_GT(times.returns_within("fast", 0, 2), 0.9);
  EXPECT_LT(times.returns_within("slow", 0, 2), 0.1);
  EXPECT_GT(times.returns_within("slow", 29, 60), 0.9);
  EXPECT_NEAR(times.median_wait_s("fast", 0), 1.25, 0.1);
  EXPECT_NEAR(times.median_wait_s("slow", 0), 55, 4);
  double unknown = times.returns_within("new", 0, 2);  // all tools together: half of them
  EXPECT_NEAR(unknown, 0.5, 0.1);
  EXPECT_EQ(times.samples("fast"), 50U);
  EXPECT_EQ(times.samples("new"), 0U);
}

TEST(ReturnTimesTest, LostOnesStayAway) {
  ReturnTimes times;
  for (int i = 0; i < 20; ++i) {
    times.record("ask", 5);
    times.record_lost("ask", 600);
    times.record_lost("ask", 600);
  }
  EXPECT_NEAR(times.returns_within("ask", 0, 60), 1.0 / 3, 0.05);
  EXPECT_TRUE(std::isinf(times.median_wait_s("ask", 0)));
  EXPECT_LT(times.returns_within("ask", 10, 3600), 0.1);
}

TEST(ReturnTimesTest, IsAProbabilityAndRises) {
  Random random(7);
  ReturnTimes times;
  for (int i = 0; i < 1000; ++i) {
    double seconds = std::exp(6 * random.unit() - 1);
    random.below(5) == 0 ? times.record_lost("t", seconds) : times.record("t", seconds);
    EXPECT_LE(times.samples("t"), 200U);
  }
  for (double away : {0.0, 1.0, 10.0, 100.0, 1e6}) {
    double last = 0;
    for (double within = 0; within < 1000; within += 7) {
      double chance = times.returns_within("t", away, within);
      EXPECT_GE(chance, last);
      EXPECT_LE(chance, 1);
      last = chance;
    }
  }
}

TEST(ReturnTimesTest, StrangeNumbersDoNoHarm) {
  ReturnTimes times;
  times.record("t", -5);
  times.record("t", std::nan(""));
  times.record("t", 1e300);
  for (int i = 0; i < 3000; ++i) times.record("tool" + std::to_string(i), 1);
  double chance = times.returns_within("t", -1, -1);
  EXPECT_EQ(chance, 0);
  EXPECT_GT(times.returns_within("tool2999", 0, 2), 0.5) << "beyond the limit: as all tools";
}

}  // namespace
}  // namespace sluice
