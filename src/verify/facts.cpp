#include "verify/facts.h"

#include <algorithm>

namespace sluice {

void CauseSet::add(std::size_t cause) {
  if (words_.size() <= cause / 64) words_.resize(cause / 64 + 1, 0);
  words_[cause / 64] |= std::uint64_t{1} << (cause % 64);
}

void CauseSet::add(const CauseSet& other) {
  if (words_.size() < other.words_.size()) words_.resize(other.words_.size(), 0);
  for (std::size_t i = 0; i < other.words_.size(); ++i) words_[i] |= other.words_[i];
}

bool CauseSet::empty() const {
  return std::ranges::all_of(words_, [](std::uint64_t word) { return word == 0; });
}

bool CauseSet::within(const CauseSet& other) const {
  for (std::size_t i = 0; i < words_.size(); ++i) {
    std::uint64_t theirs = i < other.words_.size() ? other.words_[i] : 0;
    if ((words_[i] & ~theirs) != 0) return false;
  }
  return true;
}

PlanFacts::PlanFacts(const VerifyContext& context) : plan(context.plan), tools(context.tools) {
  collect();
  sort();
  find_skips();
  find_types();
}

std::uint32_t PlanFacts::index_of(std::string_view step) const {
  auto found = index_.find(step);
  return found == index_.end() ? kNoIndex : found->second;
}

const FunctionSpec* PlanFacts::function_of(const Step& step) const {
  return step.op == OperatorKind::kTool ? tools.find(step.target, step.function) : nullptr;
}

void PlanFacts::collect() {
  for (std::uint32_t i = 0; i < plan.steps.size(); ++i) {
    index_.emplace(plan.steps[i].id, i);
    names_.steps.push_back(plan.steps[i].id);
  }
  for (const ParamSpec& param : plan.params) {
    names_.params.emplace_back(param.id, param.schema ? param.schema->type() : Type::any());
  }
  steps.resize(plan.steps.size());
  for (std::uint32_t i = 0; i < steps.size(); ++i) {
    const Step& step = plan.steps[i];
    for (Reference& read : references_of(step)) {
      if (index_of(read.step) != kNoIndex) steps[i].reads.push_back(std::move(read));
    }
    steps[i].slots = has_slots(step, tools);
    if (step.on_error && step.on_error->kind == OnErrorRule::Kind::kStep) {
      std::uint32_t fallback = index_of(step.on_error->step);
      if (fallback != kNoIndex) steps[fallback].fallback_of = i;
    }
  }
}

void PlanFacts::sort() {
  std::vector<std::set<std::uint32_t>> needs(steps.size());
  std::vector<std::vector<std::uint32_t>> readers(steps.size());
  for (std::uint32_t i = 0; i < steps.size(); ++i) {
    for (const Reference& read : steps[i].reads) needs[i].insert(index_of(read.step));
    if (steps[i].fallback_of != kNoIndex) needs[steps[i].fallback_of].insert(i);
  }
  std::vector<std::size_t> missing(steps.size());
  for (std::uint32_t i = 0; i < steps.size(); ++i) {
    missing[i] = needs[i].size();
    for (std::uint32_t need : needs[i]) readers[need].push_back(i);
    if (missing[i] == 0) order.push_back(i);
  }
  for (std::size_t at = 0; at < order.size(); ++at) {
    for (std::uint32_t reader : readers[order[at]]) {
      if (--missing[reader] == 0) order.push_back(reader);
    }
  }
  cyclic = order.size() != steps.size();
}

bool PlanFacts::reads_slot(const Step& reader, const Reference& read) const {
  std::uint32_t from = index_of(read.step);
  if (from == kNoIndex || !steps[from].slots || !reader.for_each) return false;
  return read.mode == EdgeMode::kSlot || read.exact_items;
}

// A cause is numbered by the step that has it: a `when`, an `on_error: skip`, a join that skips.
void PlanFacts::find_skips() {
  for (std::uint32_t i : order) {
    const Step& step = plan.steps[i];
    StepFacts& facts = steps[i];
    bool own = step.when || (step.on_error && step.on_error->kind == OnErrorRule::Kind::kSkip);
    for (const auto& [id, join] : step.joins) {
      own = own || join.failed.kind == JoinAction::Kind::kSkip;
    }
    if (own) facts.skips_slot.add(i);
    for (const Reference& read : facts.reads) {
      if (read.mode == EdgeMode::kStatus || read.mode == EdgeMode::kOrder) continue;
      const JoinRule* join = step.find_join(read.step);
      if (join && join->skipped.kind != JoinAction::Kind::kSkip) continue;
      const StepFacts& from = steps[index_of(read.step)];
      const CauseSet& causes = reads_slot(step, read) ? from.skips_slot : from.skips_whole;
      facts.skips_slot.add(causes);
      if (read.use == EdgeUse::kItems) facts.skips_whole.add(from.skips_whole);
    }
    if (step.on_error && step.on_error->kind == OnErrorRule::Kind::kStep) {
      std::uint32_t fallback = index_of(step.on_error->step);
      if (fallback != kNoIndex) facts.skips_slot.add(steps[fallback].skips_whole);
    }
    // Without for_each the one task is all there is. With it, a skipped task leaves a null slot.
    if (!step.for_each) facts.skips_whole.add(facts.skips_slot);
  }
}

}  // namespace sluice
