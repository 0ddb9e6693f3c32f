// LawHost: the Host of a law test: virtual time, answers of law_tools.h, calls written down. Calls
// that are to be shared go through the same SharedCalls as in a live run. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <set>

#include "host/shared_calls.h"
#include "runtime/host.h"
#include "tests/laws/law_run.h"

namespace sluice::laws {

class LawHost final : public Host {
 public:
  LawHost(const ToolCatalog& tools, LawRun& record, std::uint64_t order,
          const OptimizerSettings& produced)
      : tools_(tools), record_(record), order_(order), produced_(produced) {}

  void set_inbox(EventInbox* inbox) { inbox_ = inbox; }
  // One thing: a post, else whatever is due next. False: nothing is left.
  bool step();
  std::uint64_t tick() { return ++ticks_; }

  SteadyNs now() override { return now_; }
  WallNs wall_now() override { return kEpochNs + now_; }
  void post(std::function<void()> work) override { posts_.push_back(std::move(work)); }
  void set_timer(const SetTimer& timer) override;
  void clear_timer(std::uint64_t timer) override { timers_.erase(timer); }
  void perform(const StartCall& start) override;
  void cancel(const CallRef& call) override;
  void resume(const CallRef& call) override;
  void admit(const AdmitPlan& admit) override;
  void begin_wait(const BeginWait& wait) override;
  Effect effect_of(const StartCall& start) override;
  bool has_probe(const StartCall&) override { return false; }
  void probe(const StartCall&) override {}
  Result<PhysicalPlanPtr> adopt(const AdmitPlan& admit, const Value& recorded) override;

 private:
  static constexpr WallNs kEpochNs = 1'767'225'600 * kNsPerSecond;  // 2026-01-01T00:00:00Z
  using Outcome = decltype(CallEnded::outcome);

  struct Stream {
    StartCall start;
    std::vector<Value> items;
    std::size_t given = 0;
    std::uint32_t credit = kStreamCredit;
    std::size_t record = 0;
  };

  void later(std::int64_t delay_ns, std::function<void()> work);
  std::int64_t takes_ns(const StartCall& start) const;
  void make(const StartCall& start);
  bool leave_to_equal(const StartCall& start);
  void tell_equals(const CallRef& call, const Outcome& outcome);
  void end(const CallRef& call, Outcome outcome);
  void go_on(const CallRef& call);

  const ToolCatalog& tools_;
  LawRun& record_;
  std::uint64_t order_;
  const OptimizerSettings& produced_;
  EventInbox* inbox_ = nullptr;
  SteadyNs now_ = 1000;
  std::deque<std::function<void()>> posts_;
  std::multimap<SteadyNs, std::function<void()>> due_;
  std::map<std::uint64_t, std::uint64_t> timers_;  // id: number of its setting
  std::map<CallRef, Stream> streams_;
  struct Shared {
    Hash256 key;
    std::uint64_t turn = 0;
  };
  std::set<CallRef> open_;
  SharedCalls shared_;
  std::map<CallRef, Shared> sharing_;
  std::uint64_t settings_ = 0;
  std::uint64_t ticks_ = 0;
};

}  // namespace sluice::laws
