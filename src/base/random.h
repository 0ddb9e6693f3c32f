// The only door to chance. A Random is a value: copy it and both copies give the same numbers.
#pragma once

#include <cstdint>

namespace sluice {

// xoshiro256** (Blackman and Vigna), seeded through splitmix64. Not for secrets. One thread.
class Random {
 public:
  explicit Random(std::uint64_t seed);
  std::uint64_t next();
  std::uint64_t below(std::uint64_t bound);  // uniform in [0, bound); bound > 0
  double unit();                             // uniform in [0, 1)

 private:
  std::uint64_t state_[4];
};

// A seed from the operating system.
std::uint64_t system_seed();

}  // namespace sluice
