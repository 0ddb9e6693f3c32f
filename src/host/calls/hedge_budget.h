// HedgeBudget: how many second attempts a run may make beside its calls: one, and then one for
// every twenty calls that could have had one. One thread.
#pragma once

#include <cstdint>

namespace sluice {

class HedgeBudget {
 public:
  static constexpr std::uint64_t kCallsForOne = 20;

  void call_made() { ++calls_; }
  // True: one is made now.
  bool take() {
    if (taken_ > 0 && (taken_ + 1) * kCallsForOne > calls_) return false;
    ++taken_;
    return true;
  }
  std::uint64_t taken() const { return taken_; }

 private:
  std::uint64_t calls_ = 0;
  std::uint64_t taken_ = 0;
};

}  // namespace sluice
