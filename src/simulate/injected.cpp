#include "simulate/injected.h"

#include "simulate/world.h"

namespace sluice {

std::optional<FoundBug> try_bug(Failpoint mistake, std::uint64_t seed) {
  const Scenario scenario = make_scenario(seed);
  for (const RunPlan& runs : run_plans(scenario)) undisturbed(runs);  // without the mistake
  FailpointScope on(mistake);
  const WorldReport report = run_world(scenario);
  if (report.violations.empty()) return std::nullopt;
  return FoundBug{seed, report.violations.front().check, report.violations.front().what};
}

std::optional<FoundBug> find_bug(Failpoint mistake, std::uint64_t most) {
  for (std::uint64_t seed = 1; seed <= most; ++seed) {
    if (auto found = try_bug(mistake, seed)) return found;
  }
  return std::nullopt;
}

}  // namespace sluice
