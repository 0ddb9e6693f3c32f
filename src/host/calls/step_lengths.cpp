#include "host/calls/step_lengths.h"

#include <algorithm>
#include <limits>
#include <vector>

namespace sluice {

void StepLengths::record(const Hash256& step_hash, std::uint64_t tokens) {
  auto found = steps_.find(step_hash);
  if (found == steps_.end()) {
    if (steps_.size() >= kMostSteps) return;
    found = steps_.emplace(step_hash, std::deque<std::uint32_t>{}).first;
  }
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint32_t>::max();
  found->second.push_back(static_cast<std::uint32_t>(std::min(tokens, kMost)));
  if (found->second.size() > kKept) found->second.pop_front();
}

std::optional<std::uint32_t> StepLengths::expected(const Hash256& step_hash) const {
  auto found = steps_.find(step_hash);
  if (found == steps_.end() || found->second.size() < kEnough) return std::nullopt;
  std::vector<std::uint32_t> lengths(found->second.begin(), found->second.end());
  auto at = lengths.begin() + static_cast<std::ptrdiff_t>(lengths.size() * 3 / 4);
  std::ranges::nth_element(lengths, at);
  return *at;
}

}  // namespace sluice
