// A death, and a power cut, at every single chance: every write and sync of the disk, before and
// after every commit, between any two effects. For each shape of plans in one variant; a second
// death soon after the first hits the recovery, a third one the recovery from that.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

#include "simulate/world.h"
#include "tests/sim/sim_seeds.h"

namespace sluice::testing {
namespace {

constexpr std::uint32_t kVariant = 5;

Scenario quiet(std::size_t shape) {
  Scenario scenario;
  scenario.seed = 11 + shape;
  scenario.shape = shape;
  scenario.variant = kVariant;
  if (plan_shapes()[shape].name == "rows") {  // its rows get other forms on the way
    scenario.acts = {{ActKind::kReplan, 8, 1}, {ActKind::kReplan, 20, 2}};
  }
  return scenario;
}

TEST(CrashPoints, OneShapeHasRowsThatGetOtherForms) {
  const Scenario scenario = quiet(plan_shapes().size() - 1);
  const WorldReport report = run_world(scenario);
  EXPECT_EQ(report.replans, 2u) << describe(scenario);
  EXPECT_TRUE(report.violations.empty());
}

class EveryCrashPoint : public ::testing::TestWithParam<std::size_t> {
 protected:
  // False once the crash lies behind the end of the run.
  bool holds(const Scenario& scenario) {
    const WorldReport report = run_world(scenario);
    if (!report.violations.empty() && ++failures_ <= 2) {
      ADD_FAILURE() << told_small(scenario, report);
    }
    return failures_ < 3 && report.crashes > 0;
  }
  int failures_ = 0;
};

TEST_P(EveryCrashPoint, OfProcessAndStoreInMemory) {
  Scenario scenario = quiet(GetParam());
  std::uint64_t point = 1;
  for (scenario.crashes = {{point, false}}; holds(scenario); scenario.crashes = {{point, false}}) {
    ++point;
  }
  EXPECT_GT(point, 10u);
}

TEST_P(EveryCrashPoint, OfMachineAndDisk) {
  Scenario scenario = quiet(GetParam());
  scenario.sqlite = true;
  const std::uint64_t stride = long_tests() ? 1 : 9;
  for (bool power : {true, false}) {
    for (std::uint64_t point = 1 + GetParam() % stride;; point += stride) {
      scenario.crashes = {{point, power}};
      if (!holds(scenario)) break;
    }
  }
}

TEST_P(EveryCrashPoint, OfTheRecoveryAndOfItsRecovery) {
  Scenario scenario = quiet(GetParam());
  const std::uint64_t stride = long_tests() ? 1 : 7;
  for (std::uint64_t first = 5; failures_ == 0; first += 3 * stride) {
    scenario.crashes = {{first, false}};
    if (!holds(scenario)) break;
    for (std::uint64_t second = first + 1; second < first + 40; second += stride) {
      scenario.crashes = {{first, false}, {second, true}, {second + 1 + second % 9, false}};
      holds(scenario);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, EveryCrashPoint, ::testing::Range<std::size_t>(0, 19),
                         [](const auto& info) {
                           return std::string(plan_shapes()[info.param].name);
                         });

TEST(EveryCrashPointOfEveryShape, IsTested) { EXPECT_EQ(plan_shapes().size(), 19u); }

}  // namespace
}  // namespace sluice::testing
