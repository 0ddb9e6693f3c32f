#include "optimize/step_skips.h"

#include <algorithm>
#include <set>
#include <string>

namespace sluice {
namespace {

// `seen`: plans that were looked at.
bool waits_inside(const Step& step, const Plan& plan, std::set<const Plan*>& seen) {
  if (step.op == OperatorKind::kWait) return true;
  if (step.op != OperatorKind::kPlan || step.produced_plan) return false;
  const PlanPtr* inner = plan.find_plan(step.target);
  if (inner == nullptr || *inner == nullptr || !seen.insert(inner->get()).second) return false;
  return std::ranges::any_of((*inner)->steps,
                             [&](const Step& each) { return waits_inside(each, **inner, seen); });
}

}  // namespace

bool reads_output(const Reference& read) {
  return read.mode == EdgeMode::kWhole || read.mode == EdgeMode::kSlot;
}

bool plain_join(const Step& step, std::string_view input) {
  const JoinRule* rule = step.find_join(input);
  return rule == nullptr || (rule->skipped.kind == JoinAction::Kind::kSkip &&
                             rule->failed.kind == JoinAction::Kind::kFail);
}

bool skips_itself(const Step& step) {
  return step.when || (step.on_error && step.on_error->kind == OnErrorRule::Kind::kSkip) ||
         std::ranges::any_of(step.joins, [](const auto& join) {
           return join.second.failed.kind == JoinAction::Kind::kSkip;
         });
}

bool waits(const Step& step, const Plan& plan) {
  std::set<const Plan*> seen;
  return waits_inside(step, plan, seen);
}

StepSkips::StepSkips(const PlanDraft& draft)
    : whole_(draft.steps().size(), 0), slot_(draft.steps().size(), 0) {
  for (const std::uint32_t index : draft.order()) {
    const Step& step = draft.steps()[index];
    bool slot = skips_itself(step);
    bool items = false;
    for (const Reference& read : draft.reads(index)) {
      const std::uint32_t from = draft.index_of(read.step);
      if (!reads_output(read) || from == kNoIndex) continue;
      const JoinRule* rule = step.find_join(read.step);
      if (rule != nullptr && rule->skipped.kind != JoinAction::Kind::kSkip) continue;
      slot = slot || (draft.reads_slot({index, read}) ? slot_[from] : whole_[from]) != 0;
      items = items || (read.use == EdgeUse::kItems && whole_[from] != 0);
    }
    if (step.on_error && step.on_error->kind == OnErrorRule::Kind::kStep) {
      const std::uint32_t fallback = draft.index_of(step.on_error->step);
      slot = slot || (fallback != kNoIndex && whole_[fallback] != 0);
    }
    slot_[index] = slot ? 1 : 0;
    whole_[index] = (step.for_each ? items : slot) ? 1 : 0;
  }
}

void state_skip(Step& step, const std::string& input) {
  auto known = std::ranges::find(step.joins, input, &std::pair<std::string, JoinRule>::first);
  if (known == step.joins.end()) {
    step.joins.emplace_back(input, JoinRule{});
    known = std::prev(step.joins.end());
    known->second.pos = step.pos;
  }
  known->second.states_skipped = true;
}

void state_skips(Step& step, const std::function<bool(std::string_view input)>& may_skip) {
  std::set<std::string> inputs;
  for (const Reference& read : references_of(step)) {
    if (reads_output(read)) inputs.insert(read.step);
  }
  if (inputs.size() < 2) return;
  for (const std::string& input : inputs) {
    if (may_skip(input)) state_skip(step, input);
  }
}

}  // namespace sluice
