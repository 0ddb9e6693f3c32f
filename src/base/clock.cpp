#include "base/clock.h"

#include <chrono>
#include <ctime>

namespace sluice {
namespace {

class SystemClock final : public Clock {
 public:
  SteadyNs steady_ns() const override {
    return nanoseconds(std::chrono::steady_clock::now().time_since_epoch());
  }
  WallNs wall_ns() const override {
    return nanoseconds(std::chrono::system_clock::now().time_since_epoch());
  }

 private:
  static std::int64_t nanoseconds(auto duration) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(duration).count();
  }
};

}  // namespace

const Clock& system_clock() {
  static const SystemClock clock;
  return clock;
}

std::int64_t thread_cpu_ns() {
  timespec spent{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
  return spent.tv_sec * kNsPerSecond + spent.tv_nsec;
}

}  // namespace sluice
