#include "host/calls/host_timers.h"

#include <gtest/gtest.h>

#include <chrono>
#include <vector>

namespace sluice {
namespace {

constexpr std::int64_t kCheckNs = 2 * kNsPerMs;

class HostTimersTest : public testing::Test {
 protected:
  void run_for_ms(int ms) {
    io.restart();
    io.run_for(std::chrono::milliseconds(ms));  // ends early when nothing is armed
  }
  ManualClock clock{1, 1'000 * kNsPerSecond};
  boost::asio::io_context io;
  std::vector<std::uint64_t> fired;
  HostTimers timers{io, clock, [this](std::uint64_t timer) { fired.push_back(timer); }, kCheckNs};
};

TEST_F(HostTimersTest, FireOnceAfterTheirDelay) {
  timers.set({.timer = 7, .delay_ns = 30 * kNsPerMs});
  io.poll();
  EXPECT_TRUE(fired.empty());
  run_for_ms(500);
  EXPECT_EQ(fired, std::vector<std::uint64_t>{7});
}

TEST_F(HostTimersTest, ClearedOnesDoNotFire) {
  timers.set({.timer = 1, .delay_ns = 0});
  timers.set({.timer = 2, .delay_ns = 0});
  timers.clear(1);
  run_for_ms(20);
  EXPECT_EQ(fired, std::vector<std::uint64_t>{2});
}

TEST_F(HostTimersTest, OneOfTheSameIdIsReplaced) {
  timers.set({.timer = 1, .delay_ns = 0});
  timers.set({.timer = 1, .delay_ns = 2 * kNsPerMs});
  run_for_ms(30);
  EXPECT_EQ(fired, std::vector<std::uint64_t>{1});
}

// The steady clock says nothing about a wall time: only the wall clock does.
TEST_F(HostTimersTest, AStepOfTheWallClockIsNoticed) {
  timers.set({.timer = 5, .until_wall_ns = clock.wall_ns() + 3600 * kNsPerSecond});
  run_for_ms(15);
  EXPECT_TRUE(fired.empty());
  clock.step_wall_ns(3600 * kNsPerSecond);
  run_for_ms(15);
  EXPECT_EQ(fired, std::vector<std::uint64_t>{5});
}

TEST_F(HostTimersTest, AClockSetBackMakesItWait) {
  timers.set({.timer = 5, .until_wall_ns = clock.wall_ns() + kNsPerMs});
  clock.step_wall_ns(-3600 * kNsPerSecond);
  run_for_ms(20);
  EXPECT_TRUE(fired.empty());
  clock.step_wall_ns(3600 * kNsPerSecond + kNsPerMs);
  run_for_ms(15);
  EXPECT_EQ(fired.size(), 1u);
}

TEST_F(HostTimersTest, ATimeThatIsPastFiresAtOnce) {
  timers.set({.timer = 9, .until_wall_ns = 1});
  run_for_ms(10);
  EXPECT_EQ(fired, std::vector<std::uint64_t>{9});
}

TEST_F(HostTimersTest, NothingFiresOnceTheyAreGone) {
  std::vector<std::uint64_t> late;
  {
    HostTimers gone(io, clock, [&](std::uint64_t timer) { late.push_back(timer); });
    gone.set({.timer = 1, .delay_ns = 0});
  }
  run_for_ms(10);
  EXPECT_TRUE(late.empty());
}

}  // namespace
}  // namespace sluice
