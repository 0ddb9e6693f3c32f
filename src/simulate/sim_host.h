// SimHost: the Host of a simulated process: virtual time, simulated tools and models, timers on a
// clock that may be stepped. Every effect is a chance to die; the dead do nothing. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "runtime/host.h"
#include "runtime/value_store.h"
#include "simulate/event_queue.h"
#include "simulate/life.h"
#include "simulate/limit_watch.h"
#include "simulate/plan_shapes.h"
#include "simulate/sim_tools.h"

namespace sluice {

inline constexpr WallNs kSimEpochNs = 1'767'225'600 * kNsPerSecond;  // 2026-01-01T00:00:00Z

// What all processes of a world share.
struct SimSurroundings {
  EventQueue& queue;
  SimTools& tools;
  std::int64_t wall_step_ns = 0;  // of the wall clock
  std::uint64_t samples = 0;      // of models that sample
  std::uint64_t seed = 0;
  std::uint64_t late_answers = 0;  // to calls that had been given up
  bool calm = false;
  double trouble = 0;  // of models
  // Told of each call that leaves, and of what goes wrong.
  std::function<void(const StartCall&, const SimFunction*, EventQueue::Owner)> left;
  std::function<void(std::string_view check, std::string what)> violated;
  std::string* story = nullptr;

  void tell(EventQueue::Owner process, std::string_view what) const;
};

// The function that is called, or whose call is undone; null: a model or code.
const SimFunction* sim_function_of(const StartCall& start);

// A plan that an earlier process admitted. `admit` holds no spilled values.
Result<PhysicalPlanPtr> adopt_sim_plan(const AdmitPlan& admit, const Value& recorded);

class SimHost final : public Host {
 public:
  SimHost(SimSurroundings& world, EventQueue::Owner process, Life& life, SimPlanPtr plan,
          ValueStore& values);

  void set_inbox(EventInbox* inbox) { inbox_ = inbox; }
  void clock_stepped();  // wall timers look again

  SteadyNs now() override;
  WallNs wall_now() override;
  void post(std::function<void()> work) override;
  void set_timer(const SetTimer& timer) override;
  void clear_timer(std::uint64_t timer) override;
  void perform(const StartCall& start) override;
  void cancel(const CallRef& call) override;
  void resume(const CallRef& call) override;
  void admit(const AdmitPlan& admit) override;
  void begin_wait(const BeginWait& wait) override;
  Effect effect_of(const StartCall& start) override;
  bool has_probe(const StartCall& start) override;
  void probe(const StartCall& start) override;
  Result<PhysicalPlanPtr> adopt(const AdmitPlan& admit, const Value& recorded) override;

 private:
  struct Call {
    StartCall start;
    const SimFunction* function = nullptr;  // null: a model or code
    std::uint64_t ticket = 0;
    bool ended = false;
    bool paused = false;
    std::vector<Value> items;  // a stream's
    std::size_t given = 0;
    std::uint64_t credit = kStreamCredit;
  };
  using CallPtr = std::shared_ptr<Call>;

  static const SimFunction* function_of(const StartCall& start);
  Value loaded(const Value& value);
  void later(std::int64_t delay_ns, std::function<void()> work);
  void deliver(decltype(Event::body) body);
  void end(const CallPtr& call, decltype(CallEnded::outcome) outcome, Usage usage = {});
  void answered(const CallPtr& call, ToolAnswer answer);
  void call_tool(const CallPtr& call);
  void call_model(const CallPtr& call);
  void call_code(const CallPtr& call);
  void give_items(const CallPtr& call);
  void limit_time(const CallPtr& call);
  void arm(std::uint64_t timer);

  struct Timer {
    SetTimer set;
    SteadyNs due = 0;  // of the queue's time, for one without a wall time
    std::uint64_t generation = 0;
  };

  SimSurroundings& world_;
  EventQueue::Owner process_;
  Life& life_;
  SimPlanPtr plan_;
  ValueStore& values_;
  EventInbox* inbox_ = nullptr;
  LimitWatch limits_;
  SteadyNs steady_offset_;
  std::map<CallRef, CallPtr> calls_;
  std::map<std::uint64_t, Timer> timers_;
  std::uint64_t generations_ = 0;
};

}  // namespace sluice
