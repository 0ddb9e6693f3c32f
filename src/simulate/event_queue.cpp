#include "simulate/event_queue.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace sluice {

bool EventQueue::Later::operator()(const Entry& a, const Entry& b) const {
  return std::tie(a.at, a.tie, a.number) > std::tie(b.at, b.tie, b.number);
}

void EventQueue::after(Owner owner, std::int64_t delay_ns, std::function<void()> work) {
  if (owner != kWorld && gone_.contains(owner)) return;
  const SteadyNs at = now_ + std::max<std::int64_t>(delay_ns, 0);
  heap_.push_back({at, (random_.next() >> 1) | 1, ++number_, owner, std::move(work)});
  std::ranges::push_heap(heap_, Later());
}

void EventQueue::post(Owner owner, std::function<void()> work) {
  if (owner != kWorld && gone_.contains(owner)) return;
  constexpr std::uint64_t kMostWaitNs = 10'000'000;
  const bool waits = slow_posts_ && random_.below(3) == 0;
  const SteadyNs wait = waits ? static_cast<SteadyNs>(random_.below(kMostWaitNs)) : 0;
  SteadyNs& at = posted_[owner];
  at = std::max(at, now_ + wait);
  heap_.push_back({at, 0, ++number_, owner, std::move(work)});
  std::ranges::push_heap(heap_, Later());
}

bool EventQueue::step() {
  while (!heap_.empty()) {
    std::ranges::pop_heap(heap_, Later());
    Entry entry = std::move(heap_.back());
    heap_.pop_back();
    if (entry.owner != kWorld && gone_.contains(entry.owner)) continue;
    now_ = entry.at;
    ++happened_;
    fingerprint_ = (fingerprint_ ^ static_cast<std::uint64_t>(entry.at) ^ entry.number << 20) *
                   0x9E37'79B9'7F4A'7C15ULL;
    entry.work();
    return true;
  }
  return false;
}

}  // namespace sluice
