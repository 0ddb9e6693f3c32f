#include "tools/work_gate.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <optional>
#include <thread>

namespace sluice::test {
namespace {

TEST(WorkGate, WhatComesBehindItsEndDoesNotEnter) {
  WorkGate gate;
  { EXPECT_TRUE(WorkGate::Inside(gate).entered()); }
  gate.close([] { FAIL() << "nobody is inside"; });
  EXPECT_FALSE(WorkGate::Inside(gate).entered());
}

// The result of the first work was told, so that the next one was begun, before the first was out.
TEST(WorkGate, WaitsForTheNextWorkToo) {
  WorkGate gate;
  std::optional<WorkGate::Inside> first(std::in_place, gate);
  std::optional<WorkGate::Inside> next(std::in_place, gate);
  first.reset();
  std::promise<void> hurried;
  std::atomic<bool> closed{false};
  std::thread closing([&] {
    gate.close([&] { hurried.set_value(); });
    closed = true;
  });
  hurried.get_future().wait();
  EXPECT_FALSE(closed);
  next.reset();
  closing.join();
  EXPECT_TRUE(closed);
}

}  // namespace
}  // namespace sluice::test
