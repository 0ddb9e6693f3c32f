// What every fuzzer of texts shares: seeded mutations of good texts, held against a law until the
// time is up. The same seed gives the same texts. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sluice::test {

// How a text was treated.
struct Verdict {
  std::optional<std::string> broken_law;  // what is wrong; nullopt when all is well
  bool accepted = false;                  // a good text, worth mutating further
};

struct TextFuzz {
  std::span<const std::string_view> seeds;   // good texts to begin with
  std::span<const std::string_view> pieces;  // what the edits put in
  std::function<Verdict(const std::string& text)> judge;
};

struct FuzzLimits {
  std::uint64_t seed = 1;
  double seconds = 1;
  std::uint64_t texts = std::numeric_limits<std::uint64_t>::max();
};
// One second from seed 1; SLUICE_FUZZ_SECONDS for longer, from a new seed each time unless
// SLUICE_FUZZ_SEED says which.
FuzzLimits fuzz_limits();

struct FuzzOutcome {
  std::uint64_t texts = 0;
  std::optional<std::string> failure;  // the seed, the broken law and the text that broke it
};
// Ends at the first broken law.
FuzzOutcome run_fuzz(const TextFuzz& fuzz, const FuzzLimits& limits);

}  // namespace sluice::test
