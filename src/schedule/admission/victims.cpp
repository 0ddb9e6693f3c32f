#include "schedule/admission/victims.h"

#include <algorithm>

#include "schedule/fairness/going_first.h"

namespace sluice {

double preemption_loss_s(const Round& round, const Candidate& one) {
  std::uint64_t own = one.view->own_cells;
  std::uint64_t whole = std::uint64_t{one.view->computed_tokens} + one.view->generated_tokens;
  double compute_s = round.cost.prefill_s(whole > own ? whole - own : 0, own);
  const PoolView& pool = round.snapshot.pool;
  bool host = pool.host_used_bytes + own * round.cost.parts().cell_bytes <= pool.host_budget_bytes;
  if (!host) return compute_s;
  return std::min(compute_s, round.cost.copy_out_s(own) + round.cost.copy_in_s(own));
}

std::vector<Candidate*> choose_victims(const Round& round, std::vector<Candidate*> running,
                                       std::int64_t cells) {
  std::vector<Candidate*> victims;
  if (running.empty()) return victims;
  running.erase(running.begin());
  std::erase_if(running, [](const Candidate* one) { return one->view->deterministic; });
  while (cells > 0 && !running.empty()) {
    std::int64_t lowest = level_of(*running.back());
    auto same = [&](const Candidate* one) { return level_of(*one) == lowest; };
    auto first = std::ranges::find_if(running, same);
    first += (running.end() - first) / 2;
    auto price = [&](const Candidate* one) {
      auto frees = std::clamp<std::int64_t>(one->view->own_cells, 1, cells);
      return (preemption_loss_s(round, *one) + 1e-6) * (1.0 + one->view->preempted) /
             static_cast<double>(frees);
    };
    auto best = std::min_element(first, running.end(), [&](const Candidate* a, const Candidate* b) {
      return price(a) < price(b);
    });
    cells -= (*best)->view->own_cells;
    victims.push_back(*best);
    running.erase(best);
  }
  return victims;
}

}  // namespace sluice
