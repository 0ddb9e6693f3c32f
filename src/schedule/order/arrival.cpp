// order: arrival. First come, first served, by request: what llama-server and most engines do. For
// comparison, and for clients that count on it.
#include "schedule/policies.h"

namespace sluice {

void order_by_arrival(const Round&, std::span<Candidate* const> mine) {
  for (Candidate* one : mine) one->key_ns = one->view->arrived_ns;
}

}  // namespace sluice
