// fairness: service (the default). From VTC (Sheng and others, OSDI 2024): among tenants with
// requests here the one that has had the least service goes first; ServiceLedger lifts whoever
// comes back. From UWFQ: two levels, tenants by their counters, and within a tenant the order
// policy's virtual times.
//
// Better than VTC: service is seconds of this instance, divided by the tenant's weight, instead of
// weighted tokens, so that a shared prefix and a deep context cost what they cost; requests of one
// decision are counted as they are ranked, so a burst alternates; and a tenant that asks for much
// less than another (a light one) is not slowed down by the other's decode tokens and chunks in its
// batches, as long as it is not far ahead in service.
#include <map>
#include <queue>
#include <string_view>

#include "schedule/fairness/going_first.h"

namespace sluice {
namespace {

// Light: it asks for at most this part of what the tenant with the most work asks for ...
constexpr double kLightPart = 0.4;
// ... and has had at most so many seconds more than that one.
constexpr double kLead_s = 4;

struct Tenant {
  std::vector<Candidate*> mine;  // in the order of goes_before
  std::size_t next = 0;
  double weight = 1;
  double service = 0;  // as in the ledger
  double ranked = 0;   // with the requests that were ranked by now
  double demand = 0;   // seconds of all its requests, divided by its weight
};

using Tenants = std::map<std::string_view, Tenant>;

Tenants by_tenant(Round& round) {
  Tenants tenants;
  for (Candidate& one : round.candidates) {
    Tenant& tenant = tenants[one.view->tenant];
    tenant.mine.push_back(&one);
    tenant.demand += one.own_s;
  }
  for (const ServiceView& view : round.snapshot.tenants) {
    auto found = tenants.find(view.name);
    if (found == tenants.end() || !(view.weight > 0)) continue;
    found->second.weight = view.weight;
    found->second.service = found->second.ranked = view.service;
    found->second.demand /= view.weight;
  }
  for (auto& [name, tenant] : tenants) {
    std::ranges::sort(tenant.mine, [](auto* a, auto* b) { return goes_before(*a, *b); });
  }
  return tenants;
}

void mark_light(Round& round, Tenants& tenants) {
  const Tenant* heaviest = nullptr;
  for (const auto& [name, tenant] : tenants) {
    if (!heaviest || tenant.demand > heaviest->demand) heaviest = &tenant;
  }
  for (auto& [name, tenant] : tenants) {
    bool light = tenant.demand <= kLightPart * heaviest->demand &&
                 tenant.service <= heaviest->service + kLead_s;
    if (!light) continue;
    round.any_light = true;
    for (Candidate* one : tenant.mine) one->light = !one->view->prefetch;
  }
}

}  // namespace

void fair_by_service(Round& round) {
  round.ranking.clear();
  if (round.candidates.empty()) return;
  Tenants tenants = by_tenant(round);
  if (tenants.size() > 1) mark_light(round, tenants);
  // The tenant whose next request comes first: by its level, then by service, then the smaller one.
  auto later = [](const Tenant* a, const Tenant* b) {
    auto level_a = level_of(*a->mine[a->next]);
    auto level_b = level_of(*b->mine[b->next]);
    if (level_a != level_b) return level_a < level_b;
    if (a->ranked != b->ranked) return a->ranked > b->ranked;
    if (a->demand != b->demand) return a->demand > b->demand;
    return goes_before(*b->mine[b->next], *a->mine[a->next]);
  };
  std::priority_queue<Tenant*, std::vector<Tenant*>, decltype(later)> heads(later);
  for (auto& [name, tenant] : tenants) heads.push(&tenant);
  while (!heads.empty()) {
    Tenant* first = heads.top();
    heads.pop();
    Candidate* one = first->mine[first->next++];
    first->ranked += one->own_s / first->weight;
    round.ranking.push_back(one);
    if (first->next < first->mine.size()) heads.push(first);
  }
}

}  // namespace sluice
