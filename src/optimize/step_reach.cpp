#include "optimize/step_reach.h"

#include <algorithm>

namespace sluice {
namespace {

void add_once(std::vector<std::uint32_t>& list, std::uint32_t number) {
  if (number != kNoIndex && std::ranges::find(list, number) == list.end()) list.push_back(number);
}

}  // namespace

StepReach::StepReach(const PlanDraft& draft)
    : words_((draft.steps().size() + 63) / 64),
      rows_(draft.steps().size() * words_, 0),
      needs_(draft.steps().size()) {
  for (std::uint32_t i = 0; i < needs_.size(); ++i) {
    for (const Reference& read : draft.reads(i)) add_once(needs_[i], draft.index_of(read.step));
    rows_[i * words_ + i / 64] |= 1ULL << (i % 64);
    const auto& on_error = draft.steps()[i].on_error;
    if (!on_error || on_error->kind != OnErrorRule::Kind::kStep) continue;
    const std::uint32_t fallback = draft.index_of(on_error->step);
    if (fallback == kNoIndex) continue;
    add_once(needs_[i], fallback);
    add_once(needs_[fallback], i);
  }
  const std::vector<std::uint32_t> order = draft.order();
  for (bool more = true; more;) {  // a second time where steps stand in for others
    more = false;
    for (const std::uint32_t i : order) {
      for (const std::uint32_t from : needs_[i]) {
        more = merge(&rows_[i * words_], row(from)) || more;
      }
    }
  }
}

bool StepReach::merge(std::uint64_t* into, const std::uint64_t* from) const {
  std::uint64_t fresh = 0;
  for (std::size_t word = 0; word < words_; ++word) {
    fresh |= from[word] & ~into[word];
    into[word] |= from[word];
  }
  return fresh != 0;
}

bool StepReach::reach(const std::vector<std::uint32_t>& steps, std::uint32_t other) const {
  return std::ranges::any_of(steps, [&](std::uint32_t step) { return reach(step, other); });
}

void StepReach::add(std::uint32_t step, std::uint32_t needed) {
  add_once(needs_[step], needed);
  if (reach(step, needed)) return;
  for (std::uint32_t i = 0; i < needs_.size(); ++i) {
    if (reach(i, step)) merge(&rows_[i * words_], row(needed));
  }
}

}  // namespace sluice
