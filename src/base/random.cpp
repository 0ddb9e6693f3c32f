#include "base/random.h"

#include <bit>
#include <random>

#include "base/ensure.h"

namespace sluice {
namespace {

std::uint64_t splitmix64(std::uint64_t& state) {
  std::uint64_t z = (state += 0x9E3779B97F4A7C15U);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31);
}

}  // namespace

Random::Random(std::uint64_t seed) {
  for (auto& word : state_) word = splitmix64(seed);
}

std::uint64_t Random::next() {
  std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  std::uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

std::uint64_t Random::below(std::uint64_t bound) {
  SLUICE_ENSURE(bound > 0, "Random::below needs a bound above zero");
  // The numbers below `reject` would make the small results more likely than the large ones.
  std::uint64_t reject = (0 - bound) % bound;
  std::uint64_t number = next();
  while (number < reject) number = next();
  return number % bound;
}

double Random::unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

std::uint64_t system_seed() {
  std::random_device device;
  std::uint64_t high = device();
  return high << 32 | device();
}

}  // namespace sluice
