// The only door to time. Everything else takes a Clock (or an instant) as an argument.
#pragma once

#include <cstdint>

namespace sluice {

// Nanoseconds. Steady instants count from an arbitrary start; wall instants from the Unix epoch.
using SteadyNs = std::int64_t;
using WallNs = std::int64_t;
inline constexpr std::int64_t kNsPerMs = 1'000'000;
inline constexpr std::int64_t kNsPerSecond = 1'000'000'000;

// Any thread may call it.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual SteadyNs steady_ns() const = 0;
  virtual WallNs wall_ns() const = 0;
};

// The machine's clocks; lives for the whole process.
const Clock& system_clock();

// Processor time of the calling thread since some start: what work costs, whatever else the machine
// does meanwhile. For counters.
std::int64_t thread_cpu_ns();

// A clock that stands still until it is told to move; for tests and the simulator. One thread.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(SteadyNs steady_ns = 0, WallNs wall_ns = 0)
      : steady_ns_(steady_ns), wall_ns_(wall_ns) {}
  SteadyNs steady_ns() const override { return steady_ns_; }
  WallNs wall_ns() const override { return wall_ns_; }
  void advance_ns(std::int64_t ns) {
    steady_ns_ += ns;
    wall_ns_ += ns;
  }
  void step_wall_ns(std::int64_t ns) { wall_ns_ += ns; }  // a clock step: steady time stays

 private:
  SteadyNs steady_ns_;
  WallNs wall_ns_;
};

}  // namespace sluice
