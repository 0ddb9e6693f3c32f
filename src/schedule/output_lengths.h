// How long outputs become: what a plan expects of a request, or else what the last outputs were
// (after Past-Future's sampling of the last 200 lengths). Made from a snapshot for one decision.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"
#include "schedule/snapshot.h"

namespace sluice {

class OutputLengths {
 public:
  explicit OutputLengths(std::span<const std::uint32_t> history);

  // Tokens that the request will probably still generate; at most what it may.
  std::uint32_t expected_left(const RequestView& view) const;
  // One possible future of it: one of the lengths in the history that are longer than what it has
  // generated, what the plan expects where it does, or all that it may.
  std::uint32_t draw_left(const RequestView& view, Random& random) const;

 private:
  std::vector<std::uint32_t> sorted_;
  std::vector<std::uint64_t> sum_from_;  // of sorted_[i] and all after it
};

// All tokens that it may still generate.
std::uint32_t most_left(const RequestView& view);

}  // namespace sluice
