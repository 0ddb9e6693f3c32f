#include "simulate/scenario.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/ensure.h"

namespace sluice {
namespace {

bool chance(Random& random, double probability) { return random.unit() < probability; }

std::vector<Crash> random_crashes(Random& random) {
  std::vector<Crash> crashes;
  if (chance(random, 0.15)) return crashes;
  const std::uint64_t count = 1 + random.below(chance(random, 0.2) ? 8 : 3);
  std::uint64_t point = 0;
  // Sometimes one soon after the other: in the middle of the recovery from the one before.
  for (std::uint64_t i = 0; i < count; ++i) {
    point += 1 + random.below(chance(random, 0.4) ? 12 : 90);
    crashes.push_back({point, chance(random, 0.5)});
  }
  return crashes;
}

Act random_act(Random& random, const Scenario& scenario, bool has_signals) {
  static constexpr ActKind kKinds[] = {
      ActKind::kInterrupt,  ActKind::kInterrupt, ActKind::kCancel,   ActKind::kRival,
      ActKind::kRival,      ActKind::kClockStep, ActKind::kDiskFull, ActKind::kDiskErrors,
      ActKind::kDiskErrors, ActKind::kToolsDown, ActKind::kResolve,  ActKind::kSignal};
  Act act;
  act.at = 1 + random.below(chance(random, 0.5) ? 25 : 120);
  act.kind = kKinds[random.below(std::size(kKinds))];
  if (has_signals && chance(random, 0.6)) act.kind = ActKind::kSignal;
  if (scenario.sqlite && chance(random, 0.08)) act.kind = ActKind::kRot;
  act.amount = static_cast<std::int64_t>(random.below(40)) + 1;
  if (act.kind == ActKind::kClockStep && chance(random, 0.5)) act.amount *= -7;
  return act;
}

}  // namespace

std::string_view act_name(ActKind kind) {
  static constexpr std::string_view kNames[] = {
      "signal",    "cancel",      "interrupt",  "rival",   "clock step",
      "disk full", "disk errors", "tools down", "resolve", "rot"};
  return kNames[static_cast<std::size_t>(kind)];
}

Scenario make_scenario(std::uint64_t seed) {
  Random random(seed);
  Scenario scenario;
  scenario.seed = seed;
  scenario.shape = random.below(plan_shapes().size());
  scenario.variant = static_cast<std::uint32_t>(random.below(kVariants));
  scenario.sqlite = random.below(7) == 0;
  scenario.spills = chance(random, 0.3);
  if (chance(random, 0.25)) scenario.compact_after = 3 + random.below(20);
  if (chance(random, 0.5)) scenario.tool_trouble = chance(random, 0.3) ? 0.5 : 0.15;
  scenario.slow_commits = chance(random, 0.25);
  scenario.duplicates = chance(random, 0.3);
  scenario.stops_in_doubt = chance(random, 0.1);
  scenario.decodes_plan = chance(random, 0.1);
  scenario.crashes = random_crashes(random);
  const bool has_signals = !scenario_plan(scenario)->shape.signals.empty();
  std::uint64_t acts = chance(random, 0.5) ? 0 : 1 + random.below(4);
  if (has_signals) acts += random.below(3);
  for (; acts > 0; --acts) scenario.acts.push_back(random_act(random, scenario, has_signals));
  std::ranges::sort(scenario.acts, {}, &Act::at);
  return scenario;
}

SimPlanPtr scenario_plan(const Scenario& scenario) {
  if (!scenario.plan) return sim_plan(scenario.shape, scenario.variant);
  Result<SimPlanPtr> plan = sim_plan_of("shrunk", *scenario.plan);
  SLUICE_ENSURE(plan.has_value(), plan ? "" : plan.error().message());
  return *plan;
}

std::string describe(const Scenario& scenario) {
  const SimPlanPtr plan = scenario_plan(scenario);
  std::string text =
      fmt::format("seed {}, plan {}, {}", scenario.seed, plan->name,
                  scenario.sqlite ? "SQLite on the simulated disk" : "store in memory");
  if (scenario.spills) text += ", values in the content store";
  if (scenario.compact_after > 0) {
    text += fmt::format(", compacted every {} records", scenario.compact_after);
  }
  if (scenario.tool_trouble > 0) {
    text += fmt::format(", {}% of calls in trouble", static_cast<int>(scenario.tool_trouble * 100));
  }
  if (scenario.slow_commits) text += ", slow commits";
  if (scenario.duplicates) text += ", answers that come twice";
  if (scenario.stops_in_doubt) text += ", nobody settles doubt";
  if (scenario.decodes_plan) text += ", plan read from the journal";
  text += "\n";
  for (const Crash& crash : scenario.crashes) {
    text += fmt::format("  {} at point {}\n", crash.power ? "power cut" : "death", crash.point);
  }
  for (const Act& act : scenario.acts) {
    text += fmt::format("  {} ({}) when {} things have happened\n", act_name(act.kind), act.amount,
                        act.at);
  }
  return text + plan->shape.text;
}

}  // namespace sluice
