#include "host/history/open_call_times.h"

#include <utility>

namespace sluice {

std::uint64_t OpenCallTimes::key_of(const CallRef& call) {
  const std::uint64_t key = call_hash(call);
  return key == 0 ? 1 : key;
}

std::size_t OpenCallTimes::find(std::uint64_t key) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = key & mask;
  while (slots_[at].key != 0 && slots_[at].key != key) at = (at + 1) & mask;
  return at;
}

void OpenCallTimes::grow() {
  constexpr std::size_t kFirst = 64;
  std::vector<Slot> before = std::exchange(slots_, {});
  slots_.resize(before.empty() ? kFirst : before.size() * 2);
  for (const Slot& slot : before) {
    if (slot.key != 0) slots_[find(slot.key)] = slot;
  }
}

void OpenCallTimes::begin(const CallRef& call, SteadyNs at) {
  if (used_ >= kMostOpen) return;
  if ((used_ + 1) * 2 > slots_.size()) grow();
  const std::uint64_t key = key_of(call);
  Slot& slot = slots_[find(key)];
  if (slot.key == 0) ++used_;
  slot = {key, at};
}

// What stands behind the freed slot moves up, so that no search ends early.
std::optional<SteadyNs> OpenCallTimes::end(const CallRef& call) {
  if (slots_.empty()) return std::nullopt;
  const std::size_t mask = slots_.size() - 1;
  std::size_t hole = find(key_of(call));
  if (slots_[hole].key == 0) return std::nullopt;
  const SteadyNs began = slots_[hole].at;
  --used_;
  for (std::size_t at = (hole + 1) & mask; slots_[at].key != 0; at = (at + 1) & mask) {
    const std::size_t home = slots_[at].key & mask;
    const bool stays = ((at - home) & mask) < ((at - hole) & mask);
    if (stays) continue;
    slots_[hole] = slots_[at];
    hole = at;
  }
  slots_[hole] = {};
  return began;
}

}  // namespace sluice
