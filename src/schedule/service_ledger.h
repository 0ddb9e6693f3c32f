// How much service tenants and programs have had: the state behind fairness. A pure state machine;
// the engine's lane (or the simulator) tells it what happened and puts its views into the snapshot.
// One thread.
//
// After VTC (Sheng and others, OSDI 2024): whoever comes back to a busy engine is lifted to the
// least served of the active ones, so that nobody saves up claims while idle. Service is measured
// in seconds of the instance (InstanceCost), not in weighted tokens, and a prefix that several
// share is charged once.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "schedule/snapshot.h"

namespace sluice {

class ServiceLedger {
 public:
  explicit ServiceLedger(std::map<std::string, double> tenant_weights = {});

  // A request of this program is here (waiting or running), or no more.
  void arrive(std::string_view tenant, std::string_view program, SteadyNs now_ns);
  void leave(std::string_view tenant, std::string_view program, SteadyNs now_ns);
  // Seconds of the instance that were spent for it.
  void charge(std::string_view tenant, std::string_view program, double seconds);
  // The program is done: forgotten once it has no requests here.
  void release(std::string_view program);
  // Forgets programs and tenants that have had no request here since then.
  void forget_before(SteadyNs ns);
  // Of those that have no request here, this many programs and tenants are remembered for certain,
  // and never more than twice as many: who was away for longest goes first.
  static constexpr std::size_t kRemembered = 2'000;

  // When the program's first request came; now when it is not known.
  SteadyNs program_since_ns(std::string_view program, SteadyNs now_ns) const;
  std::vector<ServiceView> tenants() const;   // those with requests here
  std::vector<ServiceView> programs() const;  // the same
  std::size_t size() const;                   // accounts held

 private:
  struct Account {
    double weight = 1;
    double service = 0;
    std::uint32_t requests = 0;
    SteadyNs since_ns = 0;
    SteadyNs seen_ns = 0;
    bool released = false;
  };
  struct Accounts {
    std::map<std::string, Account, std::less<>> by_name;
    double last_service = 0;  // of the one that was here last
  };
  static void lift(const Accounts& accounts, Account& account);
  static void forget_some(Accounts& accounts);
  static void enter(Accounts& accounts, std::string_view name, double weight, SteadyNs now_ns);
  static void exit(Accounts& accounts, std::string_view name, SteadyNs now_ns);
  static std::vector<ServiceView> views(const Accounts& accounts);

  std::map<std::string, double> tenant_weights_;
  Accounts tenants_;
  Accounts programs_;
};

}  // namespace sluice
