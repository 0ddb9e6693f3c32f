// LawHost: the Host of a law test: virtual time, answers of law_tools.h, calls written down. Calls
// that are to be shared, to be answered by earlier runs or to go out together go through the same
// parts as in a live run. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <vector>

#include "host/calls/bulk_queue.h"
#include "host/calls/shared_calls.h"
#include "runtime/host.h"
#include "tests/laws/law_run.h"
#include "tests/laws/law_tools.h"
#include "tests/runtime/virtual_time.h"

namespace sluice::laws {

class LawHost final : public Host {
 public:
  LawHost(const ToolCatalog& tools, LawRun& record, std::uint64_t order,
          const OptimizerSettings& produced, LawKept* kept)
      : tools_(tools), record_(record), order_(order), produced_(produced), kept_(kept) {}

  void set_inbox(EventInbox* inbox) { inbox_ = inbox; }
  // One thing: a post, else whatever is due next. False: nothing is left.
  bool step() { return time_.step(); }
  std::uint64_t tick() { return ++ticks_; }

  SteadyNs now() override { return time_.now(); }
  WallNs wall_now() override { return kEpochNs + time_.now(); }
  void post(std::function<void()> work) override { time_.post(std::move(work)); }
  void set_timer(const SetTimer& timer) override;
  void clear_timer(std::uint64_t timer) override { time_.clear_timer(timer); }
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

  void later(std::int64_t delay_ns, std::function<void()> work) {
    time_.later(delay_ns, std::move(work));
  }
  std::int64_t takes_ns(const StartCall& start) const;
  void make(const StartCall& start);
  bool leave_to_equal(const StartCall& start);
  void tell_equals(const CallRef& call, const Outcome& outcome);
  bool find_kept(const StartCall& start);
  void make_alone(const StartCall& start);
  void look_at_queue(const LawFunction* function);
  using Bulk = BulkQueue<StartCall>::Group;
  void send(const LawFunction* function, Bulk bulk);
  void bulk_ended(const LawFunction* function, const Bulk& bulk,
                  const std::vector<std::size_t>& records);
  void bulk_failed(const LawFunction* function, Bulk& bulk);
  std::size_t write_down(const StartCall& start);
  void end(const CallRef& call, Outcome outcome);
  void go_on(const CallRef& call);

  const ToolCatalog& tools_;
  LawRun& record_;
  std::uint64_t order_;
  const OptimizerSettings& produced_;
  EventInbox* inbox_ = nullptr;
  sluice::testing::VirtualTime time_;
  std::map<CallRef, Stream> streams_;
  struct Shared {
    Hash256 key;
    std::uint64_t turn = 0;
  };
  std::set<CallRef> open_;
  SharedCalls shared_;
  std::map<CallRef, Shared> sharing_;
  LawKept* kept_;  // null: nothing is
  std::map<CallRef, Hash256> keeping_;
  BulkQueue<StartCall> queue_;
  std::uint64_t ticks_ = 0;
};

}  // namespace sluice::laws
