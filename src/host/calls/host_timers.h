// HostTimers: the timers of one run on Asio. Those by delay use the steady clock; those by wall
// time look at the wall clock again at least every 20 s, so that a stepped clock or a machine that
// slept is noticed. The run's thread only; nothing fires any more once this is gone.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>

#include "base/clock.h"
#include "runtime/effect.h"

namespace sluice {

// How long a timer by wall time sleeps at most before it looks at the clock again.
inline constexpr std::int64_t kWallCheckNs = 20 * kNsPerSecond;

class HostTimers {
 public:
  using OnFired = std::function<void(std::uint64_t timer)>;
  // `wall_check_ns` is for tests.
  HostTimers(boost::asio::io_context& io, const Clock& clock, OnFired fired,
             std::int64_t wall_check_ns = kWallCheckNs);
  ~HostTimers();

  void set(const SetTimer& timer);  // replaces one of the same id
  void clear(std::uint64_t timer);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace sluice
