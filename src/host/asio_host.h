// AsioHost: carries out the effects of one run on Boost.Asio. One thread runs the io_context; all
// methods are called on it and all events are delivered on it. Tools call back on the same thread,
// models on threads of their own, from which their replies are posted. What calls back after the
// host is gone finds nobody and is dropped.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>

#include "base/clock.h"
#include "host/resources.h"
#include "host/result_cache.h"
#include "plan/physical.h"
#include "runtime/host.h"
#include "runtime/value_store.h"
#include "tools/tool.h"

namespace sluice {

// All outlive the host.
struct HostServices {
  Resources& resources;
  Tool& code;  // runs code steps
  ResultCache& cache;
  ValueStore& values;
  const Clock& clock;
  std::string run_id;
};

class AsioHost final : public Host {
 public:
  AsioHost(boost::asio::io_context& io, HostServices services);
  ~AsioHost() override;

  // Before the run starts: where events go, and what its plan's steps call.
  void set_inbox(EventInbox* inbox);
  void add_plan(const PhysicalPlanPtr& plan, const PlanScope& scope);

  SteadyNs now() override;
  void post(std::function<void()> work) override;
  void set_timer(std::uint64_t timer, std::int64_t delay_ns) override;
  void clear_timer(std::uint64_t timer) override;
  void perform(const StartCall& start) override;
  void cancel(const CallRef& call) override;
  void resume(const CallRef& call) override;
  void admit(const AdmitPlan& admit) override;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace sluice
