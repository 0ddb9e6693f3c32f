#include "simulate/sim_locks.h"

#include <algorithm>
#include <cstring>

namespace sluice {

int SimFileLocks::lock(Holder holder, int level) {
  const int own = levels_.contains(holder) ? levels_[holder] : SQLITE_LOCK_NONE;
  if (own >= level) return SQLITE_OK;
  int highest = SQLITE_LOCK_NONE;
  for (const auto& [other, other_level] : levels_) {
    if (other != holder) highest = std::max(highest, other_level);
  }
  if (level == SQLITE_LOCK_SHARED) {
    if (highest >= SQLITE_LOCK_PENDING) return SQLITE_BUSY;
  } else if (level == SQLITE_LOCK_RESERVED) {
    if (highest >= SQLITE_LOCK_RESERVED) return SQLITE_BUSY;
  } else {
    if (highest >= SQLITE_LOCK_RESERVED) return SQLITE_BUSY;
    if (highest >= SQLITE_LOCK_SHARED) {
      levels_[holder] = SQLITE_LOCK_PENDING;
      return SQLITE_BUSY;
    }
  }
  levels_[holder] = level;
  return SQLITE_OK;
}

void SimFileLocks::unlock(Holder holder, int level) {
  if (level == SQLITE_LOCK_NONE) {
    levels_.erase(holder);
  } else if (auto found = levels_.find(holder); found != levels_.end()) {
    found->second = std::min(found->second, level);
  }
}

bool SimFileLocks::reserved() const {
  return std::ranges::any_of(
      levels_, [](const auto& entry) { return entry.second >= SQLITE_LOCK_RESERVED; });
}

int SimFileLocks::shm_lock(Holder holder, int first, int count, int flags) {
  const auto begin = slots_.begin() + first;
  const auto end = begin + count;
  if ((flags & SQLITE_SHM_UNLOCK) != 0) {
    for (auto slot = begin; slot != end; ++slot) {
      if ((flags & SQLITE_SHM_SHARED) != 0) {
        slot->shared.erase(holder);
      } else if (slot->exclusive == holder) {
        slot->exclusive = nullptr;
      }
    }
    return SQLITE_OK;
  }
  const bool wants_all = (flags & SQLITE_SHM_EXCLUSIVE) != 0;
  for (auto slot = begin; slot != end; ++slot) {
    if (slot->exclusive != nullptr && slot->exclusive != holder) return SQLITE_BUSY;
    const bool others = slot->shared.size() > (slot->shared.contains(holder) ? 1u : 0u);
    if (wants_all && others) return SQLITE_BUSY;
  }
  for (auto slot = begin; slot != end; ++slot) {
    if (wants_all) {
      slot->exclusive = holder;
    } else {
      slot->shared[holder] = 1;
    }
  }
  return SQLITE_OK;
}

void* SimFileLocks::region(int number, int bytes, bool extend) {
  const auto index = static_cast<std::size_t>(number);
  while (regions_.size() <= index) {
    if (!extend) return nullptr;
    regions_.push_back(std::make_unique<char[]>(static_cast<std::size_t>(bytes)));
  }
  return regions_[index].get();
}

void SimFileLocks::forget_shm(Holder holder) {
  for (Slot& slot : slots_) {
    slot.shared.erase(holder);
    if (slot.exclusive == holder) slot.exclusive = nullptr;
  }
}

void SimFileLocks::forget(Holder holder) {
  levels_.erase(holder);
  forget_shm(holder);
  detach(holder);
}

bool SimFileLocks::detach(Holder holder) {
  attached_.erase(holder);
  if (!attached_.empty()) return false;
  regions_.clear();
  return true;
}

std::shared_ptr<SimFileLocks> SimLocks::of(const std::string& name) {
  auto& found = files_[name];
  if (!found) found = std::make_shared<SimFileLocks>();
  return found;
}

}  // namespace sluice
