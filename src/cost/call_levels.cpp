#include "cost/call_levels.h"

#include <algorithm>
#include <cmath>
#include <string_view>

namespace sluice {
namespace {

constexpr double kNearlyBest = 0.95;  // of the most calls done in a second
constexpr double kClearlyLess = 0.9;  // ... that more at once got done
constexpr double kClearlyMore = 1.5;  // times as many at once
constexpr double kNearlyWhole = 0.2;  // 4.1 calls at once are four
constexpr std::string_view kServer = "openai";

struct Pace {
  double at_once = 0;
  double calls_per_s = 0;  // Little's law: how many are under way by how long each is
};

}  // namespace

bool has_call_levels(const PhysicalPlan& plan, const PhysicalStep& step) {
  if (step.advice.bulk > 1) return false;
  if (step.logical.op == OperatorKind::kTool) return true;
  if (step.logical.op != OperatorKind::kLlm || plan.logical == nullptr) return false;
  const NamedSettings* model = plan.logical->find_model(step.logical.target);
  return model != nullptr && model->kind == kServer;
}

std::uint32_t call_level(double at_once) {
  if (!(at_once > 1)) return 0;
  const double level = std::round(std::log2(std::min(at_once, 1e9)));
  return std::min(static_cast<std::uint32_t>(level), kCallLevels - 1);
}

Hash256 call_level_key(const Hash256& step, std::uint32_t level) {
  return Hasher().field("calls at once").field(step).field(std::uint64_t{level}).finish();
}

void CallLevels::add(double at_once, double seconds) {
  if (levels_.empty()) levels_.resize(kCallLevels);
  Level& level = levels_[call_level(at_once)];
  level.at_once.add(std::max(at_once, 1.0));
  level.seconds.add(seconds);
}

bool CallLevels::tells() const {
  return std::ranges::count_if(levels_, [](const Level& level) {
           return level.seconds.count() >= kEnoughAtOnce;
         }) > 1;
}

void CallLevels::put(const Hash256& step, StatisticsTable& into) const {
  StepStatistics& any = into[call_level_key(step, kCallLevels)];
  for (std::uint32_t i = 0; i < levels_.size(); ++i) {
    const Level& level = levels_[i];
    if (level.seconds.count() == 0) continue;
    StepStatistics& entry = into[call_level_key(step, i)];
    entry.calls += level.seconds.count();
    entry.tasks += level.seconds.count();
    entry.seconds.merge(level.seconds);
    entry.items.merge(level.at_once);
    any.calls += level.seconds.count();
    any.tasks += level.seconds.count();
  }
}

std::uint32_t calls_knee(const Hash256& step, const StatisticsStore& history) {
  if (!history.find(call_level_key(step, kCallLevels))) return 0;
  std::vector<Pace> paces;
  for (std::uint32_t level = 0; level < kCallLevels; ++level) {
    const auto seen = history.find(call_level_key(step, level));
    if (!seen || seen->seconds.count() < kEnoughAtOnce || seen->items.count() == 0) {
      continue;
    }
    const double seconds = seen->seconds.mean();
    if (seconds > 0) paces.push_back({seen->items.mean(), seen->items.mean() / seconds});
  }
  if (paces.empty()) return 0;
  const double best = std::ranges::max(paces, {}, &Pace::calls_per_s).calls_per_s;
  const auto knee = std::ranges::find_if(
      paces, [best](const Pace& pace) { return pace.calls_per_s >= kNearlyBest * best; });
  const bool less_beyond = std::any_of(knee, paces.end(), [&](const Pace& pace) {
    return pace.at_once >= kClearlyMore * knee->at_once && pace.calls_per_s <= kClearlyLess * best;
  });
  if (!less_beyond) return 0;
  return static_cast<std::uint32_t>(std::max(std::ceil(knee->at_once - kNearlyWhole), 1.0));
}

}  // namespace sluice
