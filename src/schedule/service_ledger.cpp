#include "schedule/service_ledger.h"

#include <algorithm>
#include <optional>

#include "schedule/forget_oldest.h"

namespace sluice {
namespace {

constexpr double kSmallestWeight = 1e-3;

}  // namespace

ServiceLedger::ServiceLedger(std::map<std::string, double> tenant_weights)
    : tenant_weights_(std::move(tenant_weights)) {
  for (auto& [tenant, weight] : tenant_weights_) {
    if (!(weight >= kSmallestWeight)) weight = kSmallestWeight;
  }
}

// Whoever comes back starts level with the least served of those that are here (of the last one
// that was here, where nobody is): what it did not use while it was away is not saved up. Its own
// service stays where that is more.
void ServiceLedger::lift(const Accounts& accounts, Account& account) {
  std::optional<double> least;
  for (const auto& [name, other] : accounts.by_name) {
    if (other.requests == 0) continue;
    least = std::min(least.value_or(other.service), other.service);
  }
  account.service = std::max(account.service, least.value_or(accounts.last_service));
}

void ServiceLedger::forget_some(Accounts& accounts) {
  auto away_since = [](const auto& entry) -> std::optional<SteadyNs> {
    if (entry.second.requests > 0) return std::nullopt;
    return entry.second.seen_ns;
  };
  forget_oldest(accounts.by_name, kRemembered, away_since, [](const auto&) {});
}

void ServiceLedger::enter(Accounts& accounts, std::string_view name, double weight,
                          SteadyNs now_ns) {
  auto found = accounts.by_name.find(name);
  if (found == accounts.by_name.end()) {
    forget_some(accounts);
    found = accounts.by_name.emplace(std::string(name), Account{}).first;
    found->second.weight = weight;
    found->second.since_ns = now_ns;
  }
  Account& account = found->second;
  if (account.requests == 0) lift(accounts, account);
  account.requests += 1;
  account.seen_ns = now_ns;
  account.released = false;
}

void ServiceLedger::exit(Accounts& accounts, std::string_view name, SteadyNs now_ns) {
  auto found = accounts.by_name.find(name);
  if (found == accounts.by_name.end() || found->second.requests == 0) return;
  Account& account = found->second;
  account.requests -= 1;
  account.seen_ns = now_ns;
  if (account.requests > 0) return;
  accounts.last_service = account.service;
  if (account.released) accounts.by_name.erase(found);
}

void ServiceLedger::arrive(std::string_view tenant, std::string_view program, SteadyNs now_ns) {
  auto weight = tenant_weights_.find(std::string(tenant));
  enter(tenants_, tenant, weight == tenant_weights_.end() ? 1 : weight->second, now_ns);
  if (!program.empty()) enter(programs_, program, 1, now_ns);
}

void ServiceLedger::leave(std::string_view tenant, std::string_view program, SteadyNs now_ns) {
  exit(tenants_, tenant, now_ns);
  if (!program.empty()) exit(programs_, program, now_ns);
}

void ServiceLedger::charge(std::string_view tenant, std::string_view program, double seconds) {
  auto add = [&](Accounts& accounts, std::string_view name) {
    auto found = accounts.by_name.find(name);
    if (found != accounts.by_name.end()) found->second.service += seconds / found->second.weight;
  };
  add(tenants_, tenant);
  if (!program.empty()) add(programs_, program);
}

void ServiceLedger::release(std::string_view program) {
  auto found = programs_.by_name.find(program);
  if (found == programs_.by_name.end()) return;
  found->second.released = true;
  if (found->second.requests == 0) programs_.by_name.erase(found);
}

void ServiceLedger::forget_before(SteadyNs ns) {
  auto old = [&](const auto& entry) {
    return entry.second.requests == 0 && entry.second.seen_ns < ns;
  };
  std::erase_if(tenants_.by_name, old);
  std::erase_if(programs_.by_name, old);
}

SteadyNs ServiceLedger::program_since_ns(std::string_view program, SteadyNs now_ns) const {
  auto found = programs_.by_name.find(program);
  return found == programs_.by_name.end() ? now_ns : found->second.since_ns;
}

std::vector<ServiceView> ServiceLedger::views(const Accounts& accounts) {
  std::vector<ServiceView> out;
  for (const auto& [name, account] : accounts.by_name) {
    if (account.requests == 0) continue;
    out.push_back({.name = name, .weight = account.weight, .service = account.service});
  }
  return out;
}

std::vector<ServiceView> ServiceLedger::tenants() const { return views(tenants_); }
std::vector<ServiceView> ServiceLedger::programs() const { return views(programs_); }

std::size_t ServiceLedger::size() const {
  return tenants_.by_name.size() + programs_.by_name.size();
}

}  // namespace sluice
