// AsioHost: carries out the effects of one run on Boost.Asio. One thread runs the io_context; all
// methods are called on it and all events are delivered on it. Tools call back on the same thread,
// models on threads of their own, from which their replies are posted. What calls back after the
// host is gone finds nobody and is dropped.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>

#include "host/calls/host_services.h"
#include "plan/physical.h"
#include "runtime/host.h"

namespace sluice {

class AsioHost final : public Host {
 public:
  AsioHost(boost::asio::io_context& io, HostServices services);
  ~AsioHost() override;

  // Before the run starts: where events go, and what its plan's steps call.
  void set_inbox(EventInbox* inbox);
  void add_plan(const PhysicalPlanPtr& plan, const PlanScope& scope);

  // Asked before each call leaves (Host::lets_begin).
  void ask_before_calls(std::function<bool(const StartCall&)> lets);

  // Between the two no call leaves: those that come wait for the end of it, and can be cancelled
  // until then as if they had never been. For a run that is taken up only to be cancelled.
  void hold_calls();
  void release_calls();

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
  void know_steps(const PhysicalPlanPtr& plan) override;
  bool lets_begin(const StartCall& start) override;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace sluice
