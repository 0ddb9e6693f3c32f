#include "simulate/scenario.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/ensure.h"
#include "data/json.h"
#include "simulate/plan_changes.h"

namespace sluice {
namespace {

// What was added later is drawn from a stream of its own: the other seeds keep their histories.
constexpr std::uint64_t kLaterStream = 0x666F'726B'7321'2121;
constexpr std::uint64_t kFormsStream = 0x666F'726D'7321'0014;

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

Fork random_fork(Random& random, const Scenario& scenario) {
  Fork fork;
  if (chance(random, 0.35)) fork.at = 5 + random.below(60);
  fork.from = static_cast<std::uint32_t>(random.below(8));
  if (chance(random, 0.4)) fork.change = 1 + static_cast<std::uint32_t>(random.below(kPlanChanges));
  if (chance(random, 0.4)) fork.x = 1 + static_cast<std::int64_t>(random.below(50));
  fork.crashes = random_crashes(random);
  for (std::uint64_t acts = chance(random, 0.6) ? 0 : 1 + random.below(2); acts > 0; --acts) {
    Act act = random_act(random, scenario, !scenario_plan(scenario)->shape.signals.empty());
    if (act.kind == ActKind::kRot) continue;
    // See slow_posts().
    if (act.kind == ActKind::kRival && scenario.slow_commits) act.kind = ActKind::kInterrupt;
    fork.acts.push_back(act);
  }
  std::ranges::sort(fork.acts, {}, &Act::at);
  return fork;
}

// A run that changes the form of its rows, mostly one that has many of them.
void add_replans(Random& random, Scenario& scenario) {
  if (chance(random, 0.8)) {
    scenario.shape = kFirstShapes + kLaterShapes;
    scenario.variant = static_cast<std::uint32_t>(random.below(kVariants));
  }
  if (chance(random, 0.5)) scenario.compact_after = 3 + random.below(8);
  for (std::uint64_t left = 1 + random.below(3); left > 0; --left) {
    scenario.acts.push_back(
        {ActKind::kReplan, 1 + random.below(60), static_cast<std::int64_t>(random.below(1'000))});
  }
  std::ranges::sort(scenario.acts, {}, &Act::at);
}

}  // namespace

std::string_view act_name(ActKind kind) {
  static constexpr std::string_view kNames[] = {
      "signal",      "cancel",     "interrupt", "rival", "clock step", "disk full",
      "disk errors", "tools down", "resolve",   "rot",   "replan"};
  return kNames[static_cast<std::size_t>(kind)];
}

Scenario make_scenario(std::uint64_t seed) {
  Random random(seed);
  Random later(seed ^ kLaterStream);
  Scenario scenario;
  scenario.seed = seed;
  scenario.shape = random.below(kFirstShapes);
  if (chance(later, 0.08)) {
    scenario.shape = kFirstShapes + later.below(kLaterShapes);
  }
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
  if (scenario.shape >= kFirstShapes && chance(later, 0.5)) {
    scenario.compact_after = 3 + later.below(8);
  }
  if (chance(later, 0.15)) {
    scenario.forks.push_back(random_fork(later, scenario));
    if (chance(later, 0.2)) scenario.forks.push_back(random_fork(later, scenario));
  }
  Random forms(seed ^ kFormsStream);
  if (chance(forms, 0.06)) add_replans(forms, scenario);
  return scenario;
}

std::vector<RunPlan> run_plans(const Scenario& scenario) {
  const SimPlanPtr first = scenario_plan(scenario);
  std::vector<RunPlan> plans{{first, first->params}};
  for (const Fork& fork : scenario.forks) {
    RunPlan next = plans.back();
    next.plan = changed_plan(next.plan, fork.change);
    next.params = changed_params(*next.plan, next.params, fork.x);
    plans.push_back(std::move(next));
  }
  return plans;
}

SimPlanPtr scenario_plan(const Scenario& scenario) {
  if (!scenario.plan) return sim_plan(scenario.shape, scenario.variant);
  Result<SimPlanPtr> plan = sim_plan_of("shrunk", *scenario.plan);
  SLUICE_ENSURE(plan.has_value(), plan ? "" : plan.error().message());
  return *plan;
}

namespace {

std::string describe_trouble(const std::vector<Crash>& crashes, const std::vector<Act>& acts) {
  std::string text;
  for (const Crash& crash : crashes) {
    text += fmt::format("  {} at point {}\n", crash.power ? "power cut" : "death", crash.point);
  }
  for (const Act& act : acts) {
    text += fmt::format("  {} ({}) when {} things have happened\n", act_name(act.kind), act.amount,
                        act.at);
  }
  return text;
}

std::string describe_fork(const Fork& fork, const RunPlan& before, const RunPlan& now) {
  std::string text = "fork";
  text += fork.at == 0 ? " of the run as it ended"
                       : fmt::format(" when {} things have happened", fork.at);
  text += fmt::format(", from step {}", step_to_fork_from(*now.plan, fork.from));
  if (!(before.params == now.params)) text += ", with " + to_json(now.params);
  text += "\n" + describe_trouble(fork.crashes, fork.acts);
  if (before.plan != now.plan) text += now.plan->shape.text + "\n";
  return text;
}

}  // namespace

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
  text += describe_trouble(scenario.crashes, scenario.acts);
  const std::vector<RunPlan> plans = run_plans(scenario);
  for (std::size_t i = 0; i < scenario.forks.size(); ++i) {
    text += describe_fork(scenario.forks[i], plans[i], plans[i + 1]);
  }
  return text + plan->shape.text;
}

}  // namespace sluice
