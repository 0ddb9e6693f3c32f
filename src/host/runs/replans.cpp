#include "host/runs/replans.h"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

constexpr std::size_t kMostNamed = 12;  // steps

}  // namespace

std::string order_of_work(const PhysicalPlan& plan) {
  const bool calls = std::ranges::any_of(
      plan.steps, [](const PhysicalStep& step) { return step.logical.op != OperatorKind::kValue; });
  // How many steps that count lie before each: those of one level do not wait for each other.
  std::vector<std::uint32_t> before(plan.steps.size());
  std::map<std::uint32_t, std::vector<std::string>> levels;
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    const PhysicalStep& step = plan.steps[i];
    auto counts = [calls](const PhysicalStep& one) {
      return !calls || one.logical.op != OperatorKind::kValue;
    };
    for (const Edge& edge : step.edges) {
      if (edge.from >= i) continue;  // of a result of a later round
      const std::uint32_t after = before[edge.from] + (counts(plan.steps[edge.from]) ? 1 : 0);
      before[i] = std::max(before[i], after);
    }
    if (counts(step)) levels[before[i]].push_back(step.logical.id);
  }
  std::string text;
  std::size_t told = 0;
  for (const auto& [level, ids] : levels) {
    for (const std::string& id : ids) {
      if (told++ == kMostNamed) return text + ", ...";
      text += (text.empty() ? "" : &id == &ids.front() ? " -> " : ", ") + id;
    }
  }
  return text;
}

void ReplanFold::on_trace(const TraceEvent& event) {
  if (event.kind != TraceKind::kReplanned) {
    restoring_ = false;
    return;
  }
  if (event.step == nullptr || event.replanned == nullptr) return;
  StepReplan made;
  made.step = event.step->logical.id;
  made.from_item = event.count;
  if (!restoring_) made.at = event.at;
  if (event.value != nullptr && event.value->is_string()) made.why = event.value->as_string();
  made.after = order_of_work(*event.replanned);
  std::string& last = orders_[event.call.task.step];
  if (last.empty() && event.step->plan) last = order_of_work(*event.step->plan);
  made.before = std::exchange(last, made.after);
  replans_.push_back(std::move(made));
}

// The run tells of all forms again, behind its snapshot.
void ReplanFold::restored(std::string_view /*folded*/) {
  *this = ReplanFold();
  restoring_ = true;
}

}  // namespace sluice
