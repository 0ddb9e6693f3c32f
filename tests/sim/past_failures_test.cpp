// Histories that once broke a promise, with what was wrong then.

#include <gtest/gtest.h>

#include <string>

#include "simulate/world.h"
#include "tests/sim/sim_seeds.h"

namespace sluice::testing {
namespace {

std::size_t shape_named(std::string_view name) {
  std::size_t at = 0;
  while (at < plan_shapes().size() && plan_shapes()[at].name != name) ++at;
  return at;
}

struct PastFailure {
  std::string_view name;
  std::string_view shape;
  std::uint32_t variant;
  void (*change)(Scenario& scenario);
};

constexpr PastFailure kFailures[] = {
    // A person said of a call that it had not happened, while a process that had just lost the run
    // was about to make it.
    {"SettledTooEarly", "chain", 33,
     [](Scenario& scenario) {
       scenario.seed = 632885;
       scenario.slow_commits = true;
       for (std::uint64_t at = 3; at < 12; ++at) {
         scenario.acts.push_back({ActKind::kRival, at, 20});
         scenario.acts.push_back({ActKind::kResolve, at, 29});
       }
     }},
    // Plans that were produced one after the other lay in the same memory; the second one was run
    // with the index of the first.
    {"ProducedWhereAnotherWas", "nested", 3, [](Scenario& scenario) { scenario.seed = 1670; }},
    // A snapshot forgot a plan that was being looked at for a task that had gone, and the run
    // waited for
    // it.
    {"CancelledWhileAPlanIsLookedAt", "nested", 3,
     [](Scenario& scenario) {
       scenario.seed = 61401;
       scenario.compact_after = 3;
       scenario.tool_trouble = 0.15;
       scenario.crashes = {{32, false}};
       scenario.acts = {{ActKind::kCancel, 5, 2}, {ActKind::kRival, 14, 30}};
     }},
    // A fork made a call again under a key that was being undone; what undid it was then taken for
    // done.
    {"ForkedWhileUndoing", "saga", 11,
     [](Scenario& scenario) {
       scenario.seed = 859;
       for (std::uint64_t at = 5; at < 40; at += 5) scenario.forks.push_back({.at = at, .from = 3});
     }},
};

class PastFailures : public ::testing::TestWithParam<PastFailure> {};

TEST_P(PastFailures, KeepTheirPromises) {
  const PastFailure& failure = GetParam();
  Scenario scenario;
  scenario.shape = shape_named(failure.shape);
  ASSERT_LT(scenario.shape, plan_shapes().size());
  for (std::uint32_t variant : {failure.variant, failure.variant + 1, failure.variant + 2}) {
    scenario = Scenario{.shape = scenario.shape, .variant = variant % kVariants};
    failure.change(scenario);
    const WorldReport report = run_world(scenario);
    EXPECT_TRUE(report.violations.empty()) << told_small(scenario, report);
  }
}

INSTANTIATE_TEST_SUITE_P(All, PastFailures, ::testing::ValuesIn(kFailures),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace sluice::testing
