// How many tokens the model calls of a run's steps wrote, by the meaning of the step: what the plan
// can tell the engine of the next row's length before it runs. Pure; one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>

#include "data/hash.h"

namespace sluice {

class StepLengths {
 public:
  static constexpr std::size_t kKept = 64;          // last calls of a step
  static constexpr std::size_t kEnough = 4;         // below: nothing is said
  static constexpr std::size_t kMostSteps = 4'096;  // beyond: further steps are not learned

  void record(const Hash256& step_hash, std::uint64_t tokens);
  // Three of four calls stay within it. nullopt: too few calls seen.
  std::optional<std::uint32_t> expected(const Hash256& step_hash) const;

 private:
  std::map<Hash256, std::deque<std::uint32_t>> steps_;
};

}  // namespace sluice
