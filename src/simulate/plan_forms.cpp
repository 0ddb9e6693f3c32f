#include "simulate/plan_forms.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

namespace sluice {
namespace {

// The steps of `plan` in another order in which each comes behind those that it reads.
std::vector<std::uint32_t> other_order(const PhysicalPlan& plan, Random& random) {
  std::vector<std::uint32_t> order;
  std::vector<bool> placed(plan.steps.size());
  auto ready = [&](std::uint32_t step) {
    const PhysicalStep& each = plan.steps[step];
    if (placed[step] || (each.fallback_of != kNoIndex && !placed[each.fallback_of])) return false;
    return std::ranges::all_of(each.edges, [&](const Edge& edge) { return placed[edge.from]; });
  };
  while (order.size() < plan.steps.size()) {
    std::vector<std::uint32_t> next;
    for (std::uint32_t step = 0; step < plan.steps.size(); ++step) {
      if (ready(step)) next.push_back(step);
    }
    if (next.empty()) return {};
    order.push_back(next[random.below(next.size())]);
    placed[order.back()] = true;
  }
  return order;
}

}  // namespace

PhysicalPlanPtr other_form(const PhysicalPlan& plan, Random& random) {
  const std::vector<std::uint32_t> order = other_order(plan, random);
  if (order.empty() || std::ranges::is_sorted(order)) return nullptr;
  std::vector<std::uint32_t> place(order.size());
  for (std::uint32_t at = 0; at < order.size(); ++at) place[order[at]] = at;
  auto move = [&place](std::uint32_t& step) { step = step == kNoIndex ? step : place[step]; };
  auto made = std::make_shared<PhysicalPlan>(plan);
  made->steps.clear();
  for (const std::uint32_t from : order) {
    PhysicalStep step = plan.steps[from];
    for (Edge& edge : step.edges) move(edge.from);
    for (std::uint32_t& consumer : step.consumers) move(consumer);
    std::ranges::sort(step.consumers);
    move(step.fallback);
    move(step.fallback_of);
    made->steps.push_back(std::move(step));
  }
  for (Edge& edge : made->result_edges) move(edge.from);
  made->plan_hash =
      Hasher().field("another form").field(plan.plan_hash).field(random.next()).finish();
  return made;
}

}  // namespace sluice
