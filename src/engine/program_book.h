// What a lane remembers of programs between their requests: since when each is away and what it
// does meanwhile, the times that tools have taken, and the service that tenants and programs have
// had. The state behind the policies' inputs; nothing is decided here.
//
// Owned by a lane; its thread only.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "schedule/lifetime/return_times.h"
#include "schedule/prefix_tree.h"
#include "schedule/service_ledger.h"
#include "schedule/snapshot.h"

namespace sluice {

class ProgramBook {
 public:
  explicit ProgramBook(std::map<std::string, double> tenant_weights)
      : ledger_(std::move(tenant_weights)) {}

  // A request has come; fills program_since_ns of its view.
  void arrive(RequestView& view, SteadyNs now_ns);
  // It is through or given up. `kept_for`: what it said about coming back.
  void leave(const RequestView& view, const KeptFor& kept_for, SteadyNs now_ns);
  void release(std::string_view program, SteadyNs now_ns);
  void charge(const RequestView& view, double seconds) {
    ledger_.charge(view.tenant, view.program, seconds);
  }
  void record_output(std::uint32_t tokens);
  // Gives up programs that have been away for long. Call it now and then.
  void forget(SteadyNs now_ns);

  // Since when the program computes nothing; nullopt: it does, or it is not known.
  std::optional<SteadyNs> idle_since(std::string_view program) const;
  std::size_t size() const { return programs_.size(); }
  const ReturnTimes& times() const { return times_; }
  const ServiceLedger& ledger() const { return ledger_; }
  std::vector<std::uint32_t> outputs() const { return {outputs_.begin(), outputs_.end()}; }

 private:
  struct Program {
    std::uint32_t requests = 0;
    SteadyNs idle_since_ns = 0;
    bool expected = false;
    std::string tool;
  };
  void lost(const Program& program, SteadyNs now_ns);
  void forget_some(SteadyNs now_ns);  // where there are too many

  std::map<std::string, Program, std::less<>> programs_;
  std::deque<std::uint32_t> outputs_;
  ReturnTimes times_;
  ServiceLedger ledger_;
  SteadyNs looked_ns_ = 0;
};

}  // namespace sluice
