// When the calls began that have not ended: a flat table, so that a call costs no allocation. One
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "runtime/task_ref.h"

namespace sluice {

class OpenCallTimes {
 public:
  static constexpr std::size_t kMostOpen = 1 << 18;  // beyond: further ones are not timed

  void begin(const CallRef& call, SteadyNs at);
  // nullopt: its beginning was not seen.
  std::optional<SteadyNs> end(const CallRef& call);
  std::size_t size() const { return used_; }

 private:
  struct Slot {
    std::uint64_t key = 0;  // the call's hash; 0: free
    SteadyNs at = 0;
  };
  static std::uint64_t key_of(const CallRef& call);
  std::size_t find(std::uint64_t key) const;  // its slot, or the free one where it belongs
  void grow();

  std::vector<Slot> slots_;  // a power of two of them, at most half used
  std::size_t used_ = 0;
};

}  // namespace sluice
