// STEP_CYCLE: steps that wait for each other, one finding a circle.
#include <algorithm>
#include <map>

#include "fmt/format.h"
#include "verify/rules.h"

namespace sluice {
namespace {

struct Wait {
  std::uint32_t on = kNoIndex;
  SourcePos pos;
};

using Waits = std::vector<std::vector<Wait>>;

// The waits among the steps that no order was found for.
Waits waits_of(const VerifyContext& context, const PlanFacts& facts) {
  std::vector<char> ordered(facts.steps.size(), 0);
  for (std::uint32_t i : facts.order) ordered[i] = 1;
  Waits waits(facts.steps.size());
  for (std::uint32_t i = 0; i < waits.size(); ++i) {
    if (ordered[i] != 0) continue;
    for (const Reference& read : facts.steps[i].reads) {
      std::uint32_t on = facts.index_of(read.step);
      if (ordered[on] == 0) waits[i].push_back({on, read.pos});
    }
    const auto& on_error = context.plan.steps[i].on_error;
    if (on_error && on_error->kind == OnErrorRule::Kind::kStep) {
      std::uint32_t on = facts.index_of(on_error->step);
      // Standing in for itself is reported by the rule on fallbacks.
      if (on != kNoIndex && on != i && ordered[on] == 0) waits[i].push_back({on, on_error->pos});
    }
  }
  return waits;
}

struct Circle {
  std::vector<std::uint32_t> steps;  // each waits for the next, the last for the first
  SourcePos pos;                     // of the first one's wait
};

// The shortest way from `start` back to it, if there is one that avoids `done`.
std::optional<Circle> circle_from(std::uint32_t start, const Waits& waits,
                                  const std::vector<char>& done) {
  std::map<std::uint32_t, std::pair<std::uint32_t, SourcePos>> came_from;
  std::vector<std::uint32_t> queue = {start};
  for (std::size_t at = 0; at < queue.size(); ++at) {
    for (const Wait& wait : waits[queue[at]]) {
      if (done[wait.on] != 0 || came_from.contains(wait.on)) continue;
      came_from.emplace(wait.on, std::pair(queue[at], wait.pos));
      queue.push_back(wait.on);
    }
  }
  if (!came_from.contains(start)) return std::nullopt;
  Circle circle;
  std::uint32_t step = start;
  do {
    auto [previous, pos] = came_from.at(step);
    circle.steps.push_back(previous);
    circle.pos = pos;
    step = previous;
  } while (step != start);
  std::ranges::reverse(circle.steps);
  return circle;
}

}  // namespace

void rule_cycles(const VerifyContext& context, const PlanFacts& facts, Diagnostics& out) {
  if (!facts.cyclic) return;
  constexpr std::size_t kMostFindings = 20;
  Waits waits = waits_of(context, facts);
  std::vector<char> done(waits.size(), 0);
  std::size_t findings = 0;
  for (std::uint32_t i = 0; i < waits.size() && findings < kMostFindings; ++i) {
    if (done[i] != 0 || waits[i].empty()) continue;
    auto circle = circle_from(i, waits, done);
    done[i] = 1;
    if (!circle) continue;
    ++findings;
    std::string way;
    for (std::uint32_t step : circle->steps) {
      done[step] = 1;
      if (circle->steps.size() <= 8) way += context.plan.steps[step].id + " -> ";
    }
    const std::string& first = context.plan.steps[i].id;
    out.error(ErrorCode::kStepCycle, circle->pos,
              circle->steps.size() == 1
                  ? fmt::format("{} reads itself; use repeat and previous", first)
                  : fmt::format("steps wait for each other: {}{}; cut one of these reads",
                                way.empty() ? first + " -> ... -> " : way, first));
  }
}

}  // namespace sluice
