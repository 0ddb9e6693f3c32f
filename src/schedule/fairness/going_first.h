// The order within one tenant: priority, what has waited too long, the order policy's key.
#pragma once

#include <algorithm>
#include <vector>

#include "schedule/policies.h"

namespace sluice {

// What is only computed for a request that will come counts below every priority.
inline std::int64_t level_of(const Candidate& one) {
  return one.view->prefetch ? std::numeric_limits<std::int64_t>::min() : one.view->priority;
}

inline bool goes_before(const Candidate& a, const Candidate& b) {
  if (level_of(a) != level_of(b)) return level_of(a) > level_of(b);
  if (a.aged != b.aged) return a.aged;
  if (!a.aged && a.key_ns != b.key_ns) return a.key_ns < b.key_ns;
  if (a.view->arrived_ns != b.view->arrived_ns) return a.view->arrived_ns < b.view->arrived_ns;
  return a.view->id < b.view->id;
}

inline std::vector<Candidate*> everybody(Round& round) {
  std::vector<Candidate*> all;
  all.reserve(round.candidates.size());
  for (Candidate& one : round.candidates) all.push_back(&one);
  return all;
}

}  // namespace sluice
