// How long the calls of a step take by how many calls of their callee (a tool's function, a model
// behind a server) were under way meanwhile, and beyond how many nothing is gained. Pure; any
// thread.
//
// Kept in the table of statistics under keys of their own: one entry for each level (about 1, 2, 4,
// 8 ... calls at once) with `seconds` of a call and, as `items`, how many were under way on average
// while it was, and one that says that there are any. By step and not by callee, so that a callee
// with light and heavy work does not look slow where the heavy work comes in crowds.
#pragma once

#include <cstdint>
#include <vector>

#include "cost/step_statistics.h"
#include "data/hash.h"
#include "plan/physical.h"

namespace sluice {

inline constexpr std::uint32_t kCallLevels = 8;     // 1, 2, 4 ... 128
inline constexpr std::uint64_t kEnoughAtOnce = 16;  // calls of a level that make it count

// Whether what the step calls is measured: an embedded model is not, its engine knows more; calls
// that go out together are not, they take as long as their bulk.
bool has_call_levels(const PhysicalPlan& plan, const PhysicalStep& step);

// Of so many calls at once, on average.
std::uint32_t call_level(double at_once);

// `level`: kCallLevels is that of the entry that says that there are any.
Hash256 call_level_key(const Hash256& step, std::uint32_t level);

// What one run has seen of a step's calls.
class CallLevels {
 public:
  void add(double at_once, double seconds);
  // The run's own calls can be compared: it made enough of them at two levels or more.
  bool tells() const;
  void put(const Hash256& step, StatisticsTable& into) const;

 private:
  struct Level {
    QuantileSketch at_once, seconds;
  };
  std::vector<Level> levels_;  // empty or kCallLevels
};

// The fewest calls at once that got (nearly) the most done in a time, where more at once were seen
// to get clearly less done; 0: no such thing is known.
std::uint32_t calls_knee(const Hash256& step, const StatisticsStore& history);

}  // namespace sluice
