// What a fork takes from the run that it was forked from: outputs of calls whose meaning and inputs
// are the same, and idempotency keys of calls that are made again with the same inputs. Pure data,
// filled from the old run's journal (recovery.h), asked by the run loop. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>

#include "base/failpoint.h"
#include "data/hash.h"
#include "runtime/effect.h"
#include "runtime/event.h"

namespace sluice {

class ReuseTable {
 public:
  struct Entry {
    Hash256 result_key;  // of step and arguments
    std::string idempotency_key;
    std::optional<CallReturned> returned;  // unset: to be made again
    Usage usage;
  };

  void add(std::string task_id, Entry entry) { entries_[std::move(task_id)] = std::move(entry); }
  void remove(const std::string& task_id) { entries_.erase(task_id); }
  // Null unless the old run made this call with these arguments.
  const Entry* find(const std::string& task_id, const Hash256& result_key) const {
    auto found = entries_.find(task_id);
    if (found == entries_.end()) return nullptr;
    const bool same =
        found->second.result_key == result_key || failpoint(Failpoint::kForkIgnoresMeaning);
    return same ? &found->second : nullptr;
  }
  std::size_t size() const { return entries_.size(); }

 private:
  std::unordered_map<std::string, Entry> entries_;
};

}  // namespace sluice
