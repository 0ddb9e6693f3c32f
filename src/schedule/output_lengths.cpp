#include "schedule/output_lengths.h"

#include <algorithm>

namespace sluice {
namespace {

// What the plan expected has passed by and it still writes: it writes on for a quarter of that.
std::uint32_t overrun(std::uint32_t generated) { return std::max(generated / 4, 8U); }

std::uint32_t planned_left(const RequestView& view, std::uint32_t total) {
  std::uint32_t left = total > view.generated_tokens ? total - view.generated_tokens
                                                     : overrun(view.generated_tokens);
  return std::min(left, most_left(view));
}

}  // namespace

std::uint32_t most_left(const RequestView& view) {
  return view.max_tokens > view.generated_tokens ? view.max_tokens - view.generated_tokens : 0;
}

OutputLengths::OutputLengths(std::span<const std::uint32_t> history)
    : sorted_(history.begin(), history.end()), sum_from_(history.size() + 1, 0) {
  std::ranges::sort(sorted_);
  for (std::size_t i = sorted_.size(); i > 0; --i) sum_from_[i - 1] = sum_from_[i] + sorted_[i - 1];
}

std::uint32_t OutputLengths::expected_left(const RequestView& view) const {
  if (view.expected_tokens) return planned_left(view, *view.expected_tokens);
  auto longer = std::ranges::upper_bound(sorted_, view.generated_tokens);
  if (longer == sorted_.end()) {
    std::uint32_t guess = sorted_.empty() ? most_left(view) / 2 : overrun(view.generated_tokens);
    return std::min(std::max(guess, 1U), most_left(view));
  }
  auto at = static_cast<std::size_t>(longer - sorted_.begin());
  auto mean = static_cast<std::uint32_t>(sum_from_[at] / (sorted_.size() - at));
  return planned_left(view, mean);
}

std::uint32_t OutputLengths::draw_left(const RequestView& view, Random& random) const {
  if (view.expected_tokens) {
    // Plans are wrong by some: up to half more.
    auto more = static_cast<std::uint32_t>(random.below(*view.expected_tokens / 2 + 1));
    return planned_left(view, *view.expected_tokens + more);
  }
  auto longer = std::ranges::upper_bound(sorted_, view.generated_tokens);
  auto first = static_cast<std::size_t>(longer - sorted_.begin());
  std::uint64_t drawn = random.below(sorted_.size() - first + 1);
  if (first + drawn == sorted_.size()) return most_left(view);
  return planned_left(view, sorted_[first + drawn]);
}

}  // namespace sluice
