// Host: the only door of the run loop to the world. Asio is one Host (host/), the simulator
// another.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "base/clock.h"
#include "runtime/effect.h"
#include "runtime/event.h"

namespace sluice {

// What a tool's `probe` says of a call in doubt.
struct CallProbed {
  enum class State : std::uint8_t { kDone, kAbsent, kUnknown };
  CallRef call;
  State state = State::kUnknown;
  Value output;                // kDone
  std::optional<Error> error;  // kUnknown: why the probe did not help
};

// Where a Host delivers what happens. Called on the run's thread only.
class EventInbox {
 public:
  virtual ~EventInbox() = default;
  virtual void deliver(Event event) = 0;  // Event::at: the Host's now()
  virtual void probed(CallProbed probed) = 0;
};

// All methods are called on the run's thread, but for `post`. A Host never calls the inbox from
// inside one of them.
class Host {
 public:
  virtual ~Host() = default;
  virtual SteadyNs now() = 0;
  virtual WallNs wall_now() = 0;
  // Runs `work` on the run's thread, after what is running now. Any thread.
  virtual void post(std::function<void()> work) = 0;
  virtual void set_timer(const SetTimer& timer) = 0;  // TimerFired follows
  virtual void clear_timer(std::uint64_t timer) = 0;
  // Each ends in exactly one CallEnded (also after cancel).
  virtual void perform(const StartCall& start) = 0;
  virtual void cancel(const CallRef& call) = 0;
  virtual void resume(const CallRef& call) = 0;
  virtual void admit(const AdmitPlan& admit) = 0;      // PlanAdmitted or PlanRefused follows
  virtual void begin_wait(const BeginWait& wait) = 0;  // WaitBegan follows

  // What a repetition of this very call may do, and whether its tool has a probe.
  virtual Effect effect_of(const StartCall& start) = 0;
  virtual bool has_probe(const StartCall& start) = 0;
  virtual void probe(const StartCall& start) = 0;  // EventInbox::probed follows
  // A plan that an earlier process admitted: its steps can be called from now on. `recorded` is
  // what encode_physical gave then.
  virtual Result<PhysicalPlanPtr> adopt(const AdmitPlan& admit, const Value& recorded) = 0;
  // Asked before a call leaves; false: it does not, and the run stops as if it were interrupted.
  virtual bool lets_begin(const StartCall& start) {
    (void)start;
    return true;
  }
  // Another form of a sub-plan that the run's plan has: its steps can be called from now on.
  virtual void know_steps(const PhysicalPlanPtr& plan) { (void)plan; }
};

}  // namespace sluice
