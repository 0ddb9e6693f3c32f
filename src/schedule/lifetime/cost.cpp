// lifetime: cost (the default). From Continuum: at a tool call the cells stay as long as what a
// return would save, times the probability of that return, is more than the space costs. From
// FastSwitch: what leaves the pool moves to host memory in whole runs where copying is cheaper than
// computing.
//
// Better: when the plan says when its program returns, that is used instead of a probability; when
// it does not, the tool's own history gives the chance that it returns at all and how soon, given
// how long it has been away. Losses are seconds of this instance (computing at the run's depth
// against copying), so runs of all kinds compare, and the ones that lose least per cell leave
// first, the later return before the sooner one. Idle cells pay the tax that they put on every
// batch. Runs that are equal in all that is known keep a fixed order among themselves: of a set
// that is read in turns and does not fit, a part stays instead of none.
#include <algorithm>
#include <cmath>

#include "schedule/lifetime/return_times.h"
#include "schedule/policies.h"

namespace sluice {
namespace {

constexpr double kPlanHolds = 0.97;    // a return that the plan has announced comes
constexpr double kOverdueHalf_s = 60;  // ... and after so long over its time only half of them
constexpr double kHorizon_s = 120;     // returns later than this are worth nothing
constexpr double kUseAgain = 0.1;      // a prefix that was used once is used again
constexpr double kForget_s = 250;      // ... half of that after so long
constexpr double kUnknown_s = 60;      // when, if at all
constexpr double kSoon_s = 1;
constexpr double kTieSpread = 0.1;
constexpr double kLaterProgram = 0.25;
constexpr double kLeastOfLater = 0.4;  // still more than of who is not expected at all

struct Outlook {
  double returns = 0;  // probability
  double wait_s = 0;   // until then, expected
};

Outlook outlook(const Round& round, const KeptRunView& run) {
  if (run.returns_at_ns) {
    double wait_s = -round.since_s(*run.returns_at_ns);
    if (wait_s >= 0) return {kPlanHolds, wait_s};
    return {kPlanHolds * kOverdueHalf_s / (kOverdueHalf_s - wait_s), -wait_s / 2};
  }
  double idle_s = std::max(round.since_s(run.idle_since_ns.value_or(run.used_ns)), 0.0);
  if (run.returns) {
    static const ReturnTimes kNothing;
    const ReturnTimes& times =
        round.snapshot.return_times ? *round.snapshot.return_times : kNothing;
    double chance = times.returns_within(run.next_tool, idle_s, kHorizon_s);
    // With half of it within w the hazard is about log(2)/w.
    double soon = times.returns_within(run.next_tool, idle_s, kSoon_s);
    double wait_s = soon > 0 ? std::min(kSoon_s * chance / soon, kHorizon_s) : kHorizon_s;
    return {chance, wait_s};
  }
  // Powers of two, so that what was used at about the same time counts as equal.
  double age_s = std::exp2(std::floor(std::log2(1 + std::max(round.since_s(run.used_ns), 0.0))));
  double chance = 1 - std::pow(1 - kUseAgain, std::max(run.used, 1U));
  return {std::min(chance, 0.95) * kForget_s / (kForget_s + age_s), std::max(age_s, kUnknown_s)};
}

// The same number in [0, 1) for a run at every decision.
double tie(std::uint64_t id) { return Random(id).unit(); }

}  // namespace

RunWorth live_by_cost(const Round& round, const KeptRunView& run) {
  const InstanceCost& cost = round.cost;
  Outlook expected = outlook(round, run);
  double compute_s = cost.prefill_s(run.start, run.cells, 512);
  double in_s = cost.copy_in_s(run.cells);
  // Who comes back sooner is worth more: what replaces it now would have to leave again for it.
  double sooner = 1 + kSoon_s / (kSoon_s + expected.wait_s);
  double weight = sooner * (1 - kTieSpread * tie(run.id));
  // A program that began later is served later: of two that come back, its cells leave first, all
  // of them before any of the other's.
  if (!run.program.empty() && (run.returns || run.returns_at_ns)) {
    auto before = static_cast<double>(round.programs_before(run.program_since_ns));
    weight *= std::max(1 / (1 + kLaterProgram * before), kLeastOfLater);
  }
  RunWorth worth;
  worth.drop_s = expected.returns * compute_s * weight;
  worth.back_s = run.returns || run.returns_at_ns ? expected.wait_s : 1e9;
  if (run.in_host) {
    worth.drop_s = expected.returns * std::max(compute_s - in_s, 0.0) * weight;
    return worth;
  }
  std::uint64_t bytes = std::uint64_t{run.cells} * cost.parts().cell_bytes;
  if (bytes <= round.snapshot.pool.host_budget_bytes) {
    worth.host_s = cost.copy_out_s(run.cells) + expected.returns * in_s * weight;
  }
  // The tax of idle cells: so much a batch, about as many batches as there is time.
  bool busy = std::ranges::any_of(round.candidates, [](auto& one) { return !one.waits; });
  if (!busy) return worth;
  double batches = expected.wait_s / std::max(cost.batch_s({.decode_tokens = 1}), 1e-6);
  double tax_s = cost.parts().idle_cell_s * run.cells * batches;
  worth.move_now = tax_s > worth.host_s && worth.host_s < worth.drop_s;
  worth.leave_now = !worth.move_now && tax_s > worth.drop_s;
  return worth;
}

}  // namespace sluice
