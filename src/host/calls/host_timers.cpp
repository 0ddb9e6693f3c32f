#include "host/calls/host_timers.h"

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <unordered_map>
#include <utility>

namespace sluice {

namespace asio = boost::asio;

struct HostTimers::Impl : std::enable_shared_from_this<Impl> {
  Impl(asio::io_context& context, const Clock& time, OnFired on_fired, std::int64_t check_ns)
      : io(context), clock(time), fired(std::move(on_fired)), wall_check_ns(check_ns) {}

  struct Armed {
    asio::steady_timer timer;
    WallNs until_wall_ns;
    std::uint64_t round;  // of arming: a wait that was replaced knows that it is old
  };

  asio::io_context& io;
  const Clock& clock;
  OnFired fired;
  std::int64_t wall_check_ns;
  std::unordered_map<std::uint64_t, Armed> timers;
  std::uint64_t rounds = 0;

  void arm(std::uint64_t id, Armed& armed, std::int64_t delay_ns) {
    armed.round = ++rounds;
    armed.timer.expires_after(std::chrono::nanoseconds(std::max<std::int64_t>(delay_ns, 0)));
    armed.timer.async_wait(
        [weak = weak_from_this(), id, round = armed.round](boost::system::error_code cancelled) {
          auto self = weak.lock();
          // A timer may be cleared or replaced after its wait ended but before this ran.
          if (!cancelled && self) self->woke(id, round);
        });
  }

  std::int64_t wall_delay(WallNs until) const {
    return std::clamp<std::int64_t>(until - clock.wall_ns(), 0, wall_check_ns);
  }

  void woke(std::uint64_t id, std::uint64_t round) {
    auto found = timers.find(id);
    if (found == timers.end() || found->second.round != round) return;
    Armed& armed = found->second;
    if (armed.until_wall_ns != 0 && clock.wall_ns() < armed.until_wall_ns) {
      return arm(id, armed, wall_delay(armed.until_wall_ns));
    }
    timers.erase(found);
    fired(id);
  }
};

HostTimers::HostTimers(asio::io_context& io, const Clock& clock, OnFired fired,
                       std::int64_t wall_check_ns)
    : impl_(std::make_shared<Impl>(io, clock, std::move(fired), wall_check_ns)) {}
HostTimers::~HostTimers() { impl_->timers.clear(); }

void HostTimers::set(const SetTimer& timer) {
  impl_->timers.erase(timer.timer);
  auto [armed, is_new] = impl_->timers.try_emplace(
      timer.timer, Impl::Armed{asio::steady_timer(impl_->io), timer.until_wall_ns, 0});
  impl_->arm(timer.timer, armed->second,
             timer.until_wall_ns == 0 ? timer.delay_ns : impl_->wall_delay(timer.until_wall_ns));
}

void HostTimers::clear(std::uint64_t timer) { impl_->timers.erase(timer); }

}  // namespace sluice
