#include "optimize/early_ends.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/failpoint.h"
#include "fmt/format.h"
#include "optimize/step_skips.h"

namespace sluice {
namespace {

void merge(std::vector<std::uint64_t>& into, const std::vector<std::uint64_t>& from) {
  for (std::size_t i = 0; i < into.size(); ++i) into[i] |= from[i];
}

// Where a task of the step is skipped, that of the reader is.
bool skips_with(const PlanDraft& draft, std::uint32_t step, const Reader& reader) {
  if (!reads_output(reader.read) || draft.is_fallback(reader.step)) return false;
  if (draft.slots(step) && !draft.reads_slot(reader)) return false;  // a list with an empty slot
  const JoinRule* rule = draft.steps()[reader.step].find_join(reader.read.step);
  return rule == nullptr || rule->skipped.kind == JoinAction::Kind::kSkip;
}

// All of what is read has ended when the reader has, also where that was skipped.
bool surely_waits(const PlanDraft& draft, const Step& step, const Reference& read) {
  const bool one_slot = read.mode == EdgeMode::kSlot || read.exact_items;
  if (one_slot && draft.slots(draft.index_of(read.step))) return false;
  if (read.use == EdgeUse::kItems) return true;
  if (step.for_each) return false;  // there may be no items
  return read.use == EdgeUse::kWhen || !step.when;
}

}  // namespace

Effect acts(const PlanDraft& draft, std::uint32_t step) {
  const Step& each = draft.steps()[step];
  if (each.op == OperatorKind::kLlm && each.with.find("tools") == nullptr) return Effect::kPure;
  return draft.effect(step);
}

EarlyEnds::EarlyEnds(const PlanDraft& draft) : behind_(draft.steps().size()) {
  std::vector<std::uint32_t> bit(behind_.size(), kNoIndex);
  for (std::uint32_t i = 0; i < behind_.size(); ++i) {
    names_.push_back(draft.steps()[i].id);
    if (acts(draft, i) < Effect::kIdempotent) continue;
    bit[i] = static_cast<std::uint32_t>(effects_.size());
    effects_.push_back(i);
  }
  before_.assign(behind_.size(), Steps((effects_.size() + 63) / 64, 0));
  for (const std::uint32_t i : effects_) before_[i][bit[i] / 64] |= 1ULL << (bit[i] % 64);
  surely_before_ = before_;
  const std::vector<std::uint32_t> order = draft.order();
  for (const std::uint32_t i : order) look_before(draft, i);
  for (auto i = order.rbegin(); i != order.rend(); ++i) look_behind(draft, *i);
}

void EarlyEnds::look_before(const PlanDraft& draft, std::uint32_t step) {
  const Step& each = draft.steps()[step];
  for (const Reference& read : draft.reads(step)) {
    const std::uint32_t from = draft.index_of(read.step);
    if (from == kNoIndex) continue;
    merge(before_[step], before_[from]);
    if (surely_waits(draft, each, read)) merge(surely_before_[step], surely_before_[from]);
  }
  if (!each.on_error || each.on_error->kind != OnErrorRule::Kind::kStep) return;
  const std::uint32_t fallback = draft.index_of(each.on_error->step);
  if (fallback != kNoIndex) merge(before_[step], before_[fallback]);
}

void EarlyEnds::look_behind(const PlanDraft& draft, std::uint32_t step) {
  const Step& each = draft.steps()[step];
  Behind& behind = behind_[step];
  behind.all = std::max(behind.all, acts(draft, step));
  // The tasks begin one after the other.
  if (each.for_each && each.concurrency == 1U) behind.skipped = behind.all;
  for (const Reader& reader : draft.readers(step)) {
    if (reader.step == kNoIndex) continue;  // a run has ended when all of its steps have
    const Behind& further = behind_[reader.step];
    behind.all = std::max(behind.all, further.all);
    if (skips_with(draft, step, reader)) {
      behind.skipped = std::max(behind.skipped, further.skipped);
      if (further.ordered <= behind.ordered) continue;
      behind.ordered = further.ordered;
      behind.waiter = further.waiter;
      continue;
    }
    behind.skipped = std::max(behind.skipped, further.all);
    if (reads_output(reader.read) || further.all <= behind.ordered) continue;
    behind.ordered = further.all;
    behind.waiter = reader.step;
  }
  if (!each.on_error || each.on_error->kind != OnErrorRule::Kind::kStep) return;
  // The one that stands in runs before the step ends, and acts for it.
  const std::uint32_t fallback = draft.index_of(each.on_error->step);
  if (fallback == kNoIndex) return;
  behind.all = std::max(behind.all, acts(draft, fallback));
  behind_[fallback].all = behind.all;
}

std::uint32_t EarlyEnds::unwaited_effect(const std::vector<std::uint32_t>& lost,
                                         const std::vector<std::uint32_t>& kept) const {
  if (effects_.empty()) return kNoIndex;
  Steps all(before_.front().size(), 0), waited(all);
  for (const std::uint32_t each : lost) merge(all, before_[each]);
  for (const std::uint32_t each : kept) merge(waited, surely_before_[each]);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::uint64_t left = all[i] & ~waited[i];
    if (left != 0) return effects_[i * 64 + static_cast<std::size_t>(std::countr_zero(left))];
  }
  return kNoIndex;
}

std::string EarlyEnds::obstacle(std::uint32_t step, const std::vector<std::uint32_t>& lost,
                                const std::vector<std::uint32_t>& kept, std::uint32_t guard) const {
  if (guard == kNoIndex && !lost.empty()) guard = lost.front();
  if (guard == kNoIndex) return "";
  const Behind& behind = behind_[step];
  if (behind.ordered >= Effect::kIdempotent && !failpoint(Failpoint::kEndsForgetGuard)) {
    return fmt::format("{} would not be held up by {}", names_[behind.waiter], names_[guard]);
  }
  if (behind.skipped == Effect::kPure || failpoint(Failpoint::kEndsForgetOrder)) return "";
  const std::uint32_t before = unwaited_effect(lost, kept);
  if (before == kNoIndex) return "";
  return fmt::format("what comes behind {} would not wait for {}", names_[step], names_[before]);
}

}  // namespace sluice
