// Host: the only door of the run loop to the world. Asio is one Host (host/), the simulator
// another.
#pragma once

#include <cstdint>
#include <functional>

#include "base/clock.h"
#include "runtime/effect.h"
#include "runtime/event.h"

namespace sluice {

// Where a Host delivers what happens. Called on the run's thread only.
class EventInbox {
 public:
  virtual ~EventInbox() = default;
  virtual void deliver(Event event) = 0;
};

// All methods are called on the run's thread. A Host never calls the inbox from inside `perform`.
class Host {
 public:
  virtual ~Host() = default;
  virtual SteadyNs now() = 0;
  // Runs `work` on the run's thread, after what is running now.
  virtual void post(std::function<void()> work) = 0;
  virtual void set_timer(std::uint64_t timer, std::int64_t delay_ns) = 0;  // TimerFired follows
  virtual void clear_timer(std::uint64_t timer) = 0;
  // Each ends in exactly one CallEnded (also after cancel).
  virtual void perform(const StartCall& start) = 0;
  virtual void cancel(const CallRef& call) = 0;
  virtual void resume(const CallRef& call) = 0;
  virtual void admit(const AdmitPlan& admit) = 0;  // PlanAdmitted or PlanRefused follows
};

}  // namespace sluice
