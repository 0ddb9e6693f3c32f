#include "base/clock.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace sluice {
namespace {

// Work that no compiler leaves out.
void work_for(std::int64_t cpu_ns) {
  volatile std::uint64_t sum = 0;
  for (const std::int64_t end = thread_cpu_ns() + cpu_ns; thread_cpu_ns() < end;) {
    for (int i = 0; i < 1000; ++i) sum = sum + static_cast<std::uint64_t>(i);
  }
}

TEST(Clock, ProcessorTimeIsOfThisThreadAndOfWorkOnly) {
  const std::int64_t start = thread_cpu_ns();
  std::thread([] { work_for(50 * kNsPerMs); }).join();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_LT(thread_cpu_ns() - start, 40 * kNsPerMs) << "another thread's, or sleep";
  work_for(20 * kNsPerMs);
  EXPECT_GE(thread_cpu_ns() - start, 20 * kNsPerMs);
}

}  // namespace
}  // namespace sluice
