// The critical path while it grows: a chain of calls, each with the call whose end let it start.
// Shared by all that descend from it; freed when nothing does.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "base/clock.h"

namespace sluice {

struct PathNode;
using PathPtr = std::shared_ptr<PathNode>;

struct PathNode {
  std::string task_id;
  SteadyNs start_ns = 0;
  SteadyNs end_ns = 0;
  PathPtr previous;

  PathNode(std::string id, SteadyNs start, SteadyNs end, PathPtr before)
      : task_id(std::move(id)), start_ns(start), end_ns(end), previous(std::move(before)) {}
  // A long chain must not be destroyed by recursion.
  ~PathNode() {
    PathPtr next = std::move(previous);
    while (next && next.use_count() == 1) next = std::move(next->previous);
  }
};

// The one that ended later; null counts as earliest.
inline const PathPtr& later_path(const PathPtr& a, const PathPtr& b) {
  if (!a) return b;
  if (!b) return a;
  return a->end_ns >= b->end_ns ? a : b;
}

}  // namespace sluice
