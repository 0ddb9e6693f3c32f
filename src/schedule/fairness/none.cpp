// fairness: none. Tenants do not count: priority, then age, then the order's key.
#include "schedule/fairness/going_first.h"

namespace sluice {

void fair_to_nobody(Round& round) {
  round.ranking = everybody(round);
  std::ranges::sort(round.ranking, [](auto* a, auto* b) { return goes_before(*a, *b); });
}

}  // namespace sluice
