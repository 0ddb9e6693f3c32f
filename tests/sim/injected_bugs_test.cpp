// Proof that the simulation bites: every mistake of base/failpoints.def is made, with the seed that
// is known to find it, and must be noticed by the check that is known to notice it.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>

#include "simulate/injected.h"

namespace sluice {
namespace {

struct KnownBug {
  Failpoint mistake;
  std::uint64_t seed;
  std::string_view check;
};

constexpr auto kKnown = std::to_array<KnownBug>({
#define SLUICE_INJECTED_BUG(enumerator, seed, check) {Failpoint::enumerator, seed, check},
#include "tests/sim/injected_bugs.def"
#undef SLUICE_INJECTED_BUG
});

std::string_view name_of(Failpoint mistake) {
  return failpoints()[static_cast<std::size_t>(mistake)].name;
}

class InjectedBug : public testing::TestWithParam<KnownBug> {};

TEST_P(InjectedBug, IsFoundByItsSeed) {
  const KnownBug& known = GetParam();
  const auto found = try_bug(known.mistake, known.seed);
  ASSERT_TRUE(found) << name_of(known.mistake) << " goes unnoticed with seed " << known.seed
                     << "; `make soak-bugs` looks for another one";
  EXPECT_EQ(found->check, known.check) << found->what;
}

INSTANTIATE_TEST_SUITE_P(All, InjectedBug, testing::ValuesIn(kKnown),
                         [](const auto& info) { return std::string(name_of(info.param.mistake)); });

TEST(InjectedBugs, AreAllKnownAndAtLeastTwentyFive) {
  EXPECT_GE(kKnown.size(), 25u);
  for (const FailpointInfo& info : failpoints()) {
    EXPECT_NE(std::ranges::find(kKnown, info.point, &KnownBug::mistake), kKnown.end())
        << info.name << " is found by no known seed; `make soak-bugs` looks for one";
  }
}

}  // namespace
}  // namespace sluice
