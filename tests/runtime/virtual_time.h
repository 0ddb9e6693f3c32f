// VirtualTime: what a host of a test does about time. Nothing waits: what is posted goes first,
// then whatever is due next, and the clock jumps there. One thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <utility>

#include "base/clock.h"
#include "runtime/effect.h"

namespace sluice::testing {

class VirtualTime {
 public:
  SteadyNs now() const { return now_; }
  void post(std::function<void()> work) { posts_.push_back(std::move(work)); }
  void later(std::int64_t delay_ns, std::function<void()> work) {
    due_.emplace(now_ + delay_ns, std::move(work));
  }

  // One thing. False: nothing is left.
  bool step() {
    if (!posts_.empty()) {
      auto work = std::move(posts_.front());
      posts_.pop_front();
      work();
      return true;
    }
    if (due_.empty()) return false;
    auto next = due_.begin();
    now_ = std::max(now_, next->first);
    auto work = std::move(next->second);
    due_.erase(next);
    work();
    return true;
  }

  // `wall_now`: what the clock on the wall says. A timer that is set again or cleared fires no
  // more.
  void set_timer(const SetTimer& timer, WallNs wall_now, std::function<void()> fired) {
    const std::uint64_t setting = ++settings_;
    timers_[timer.timer] = setting;
    const std::int64_t delay_ns = timer.until_wall_ns == 0
                                      ? timer.delay_ns
                                      : std::max<std::int64_t>(0, timer.until_wall_ns - wall_now);
    later(delay_ns, [this, id = timer.timer, setting, fired = std::move(fired)] {
      auto found = timers_.find(id);
      if (found == timers_.end() || found->second != setting) return;
      timers_.erase(found);
      fired();
    });
  }
  void clear_timer(std::uint64_t timer) { timers_.erase(timer); }

  // A process that dies: nothing that was under way comes back. The clock goes on.
  void forget() {
    posts_.clear();
    due_.clear();
    timers_.clear();
  }

 private:
  SteadyNs now_ = 1000;
  std::deque<std::function<void()>> posts_;
  std::multimap<SteadyNs, std::function<void()>> due_;
  std::map<std::uint64_t, std::uint64_t> timers_;  // id: number of its setting
  std::uint64_t settings_ = 0;
};

}  // namespace sluice::testing
