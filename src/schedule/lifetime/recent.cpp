// lifetime: recent. Least recently used cells leave first, and what leaves is dropped: the rule of
// most engines (vLLM, SGLang). It loses a prefix that is about to come back as easily as a dead one
// (BatchLLM: an LRU cache saved 35.8% of tokens where 58.1% was possible).
#include <algorithm>

#include "schedule/policies.h"

namespace sluice {

RunWorth live_by_recent_use(const Round& round, const KeptRunView& run) {
  double age_s = std::max(round.since_s(run.used_ns), 0.0);
  double compute_s = round.cost.prefill_s(0, run.cells, 512);  // by cells only, not by depth
  return {.drop_s = compute_s / (1 + age_s)};
}

}  // namespace sluice
