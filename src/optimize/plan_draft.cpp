#include "optimize/plan_draft.h"

#include <algorithm>
#include <functional>
#include <set>

#include "base/ensure.h"
#include "base/failpoint.h"
#include "fmt/format.h"
#include "fmt/ranges.h"
#include "plan/step_order.h"

namespace sluice {
namespace {

// Joins of inputs that stand for one another from now on: they must say the same.
Result<void> merge_joins(const Step& step, const std::vector<Reference>& reads,
                         const std::function<const std::string&(const std::string&)>& name_of,
                         Step& made) {
  std::map<std::string, std::string, std::less<>> seen;  // the new name: an old one that is read
  for (const Reference& read : reads) {
    if (read.mode == EdgeMode::kStatus || read.mode == EdgeMode::kOrder) continue;
    auto [other, fresh] = seen.emplace(name_of(read.step), read.step);
    if (fresh || other->second == read.step) continue;
    if (same_join(join_of(step, other->second), join_of(step, read.step))) continue;
    return fail(ErrorCode::kJoinUnstated,
                fmt::format("{} does not take {} as it takes {} where they are missing", step.id,
                            read.step, other->second),
                step.pos);
  }
  std::vector<std::pair<std::string, JoinRule>> joins;
  for (auto& [id, rule] : made.joins) {
    const std::string& name = name_of(id);
    auto known = std::ranges::find(joins, name, &std::pair<std::string, JoinRule>::first);
    if (known == joins.end()) {
      joins.emplace_back(name, std::move(rule));
      continue;
    }
    known->second.states_skipped = known->second.states_skipped || rule.states_skipped;
    known->second.states_failed = known->second.states_failed || rule.states_failed;
  }
  made.joins = std::move(joins);
  return {};
}

}  // namespace

PlanDraft::PlanDraft(const Plan& plan, const ToolCatalog& tools) : source_(plan), tools_(tools) {
  index();
}

std::uint32_t PlanDraft::index_of(std::string_view id) const {
  auto found = by_id_.find(id);
  return found == by_id_.end() ? kNoIndex : found->second;
}

const std::vector<Reference>& PlanDraft::reads(std::uint32_t step) const { return reads_[step]; }
const std::vector<Reader>& PlanDraft::readers(std::uint32_t step) const { return readers_[step]; }
bool PlanDraft::slots(std::uint32_t step) const { return slots_[step] != 0; }
bool PlanDraft::is_fallback(std::uint32_t step) const { return fallback_[step] != 0; }

Effect PlanDraft::effect(std::uint32_t step) const {
  if (!effects_[step]) effects_[step] = effect_of(steps()[step], plan(), tools_);
  return *effects_[step];
}

bool PlanDraft::reads_slot(const Reader& reader) const {
  std::uint32_t from = index_of(reader.read.step);
  if (from == kNoIndex || reader.step == kNoIndex) return false;
  bool one = reader.read.mode == EdgeMode::kSlot || reader.read.exact_items;
  return one && slots(from) && steps()[reader.step].for_each.has_value();
}

std::vector<std::uint32_t> PlanDraft::order() const {
  std::vector<std::vector<std::uint32_t>> needs(steps().size());
  for (std::uint32_t i = 0; i < needs.size(); ++i) {
    for (const Reference& read : reads_[i]) needs[i].push_back(index_of(read.step));
    const auto& on_error = steps()[i].on_error;
    if (on_error && on_error->kind == OnErrorRule::Kind::kStep) {
      needs[i].push_back(index_of(on_error->step));
    }
    std::erase(needs[i], kNoIndex);
  }
  std::vector<std::uint32_t> sorted = order_by_needs(needs);
  SLUICE_ENSURE(sorted.size() == needs.size(), "a plan with a circle was not verified");
  return sorted;
}

Plan& PlanDraft::change() {
  if (!copy_) copy_ = std::make_shared<Plan>(source_);
  return *copy_;
}

void PlanDraft::index() {
  const std::vector<Step>& all = steps();
  by_id_.clear();
  for (std::uint32_t i = 0; i < all.size(); ++i) by_id_.emplace(all[i].id, i);
  reads_.assign(all.size(), {});
  readers_.assign(all.size(), {});
  slots_.assign(all.size(), 0);
  fallback_.assign(all.size(), 0);
  effects_.assign(all.size(), std::nullopt);
  for (std::uint32_t i = 0; i < all.size(); ++i) {
    slots_[i] = has_slots(all[i], tools_) ? 1 : 0;
    reads_[i] = references_of(all[i]);
    add_readers(i);
    if (!all[i].on_error || all[i].on_error->kind != OnErrorRule::Kind::kStep) continue;
    std::uint32_t fallback = index_of(all[i].on_error->step);
    if (fallback != kNoIndex) fallback_[fallback] = 1;
  }
  for (const Reference& read : references_of(plan().result, EdgeUse::kBody)) {
    std::uint32_t from = index_of(read.step);
    if (from != kNoIndex) readers_[from].push_back({kNoIndex, read});
  }
}

void PlanDraft::add_readers(std::uint32_t step) {
  for (const Reference& read : reads_[step]) {
    std::uint32_t from = index_of(read.step);
    if (from != kNoIndex) readers_[from].push_back({step, read});
  }
}

void PlanDraft::drop_readers(std::uint32_t step) {
  std::set<std::uint32_t> producers;
  for (const Reference& read : reads_[step]) producers.insert(index_of(read.step));
  producers.erase(kNoIndex);
  for (std::uint32_t from : producers) {
    std::erase_if(readers_[from], [&](const Reader& reader) { return reader.step == step; });
  }
}

void PlanDraft::replace(std::uint32_t step, Step made) {
  SLUICE_ENSURE(made.id == steps()[step].id, "a rewritten step keeps its id");
  drop_readers(step);
  reads_[step] = references_of(made);
  std::erase_if(made.joins, [&](const auto& join) {
    return std::ranges::none_of(reads_[step], [&](const Reference& read) {
      return read.step == join.first && read.mode != EdgeMode::kStatus;
    });
  });
  slots_[step] = has_slots(made, tools_) ? 1 : 0;
  effects_[step].reset();
  add_readers(step);
  auto fallback_name = [](const Step& of) {
    bool named = of.on_error && of.on_error->kind == OnErrorRule::Kind::kStep;
    return named ? of.on_error->step : std::string();
  };
  std::uint32_t before = index_of(fallback_name(steps()[step]));
  std::uint32_t after = index_of(fallback_name(made));
  if (before != kNoIndex) fallback_[before] = 0;
  if (after != kNoIndex) fallback_[after] = 1;
  change().steps[step] = std::move(made);
}

void PlanDraft::set_result(Binding result) {
  for (auto& readers : readers_) {
    std::erase_if(readers, [](const Reader& reader) { return reader.step == kNoIndex; });
  }
  for (const Reference& read : references_of(result, EdgeUse::kBody)) {
    std::uint32_t from = index_of(read.step);
    if (from != kNoIndex) readers_[from].push_back({kNoIndex, read});
  }
  change().result = std::move(result);
}

std::uint32_t PlanDraft::add(Step made) {
  const auto step = static_cast<std::uint32_t>(steps().size());
  const bool is_new = by_id_.emplace(made.id, step).second;
  SLUICE_ENSURE(is_new, "an added step has an id of its own");
  reads_.push_back(references_of(made));
  readers_.emplace_back();
  slots_.push_back(has_slots(made, tools_) ? 1 : 0);
  fallback_.push_back(0);
  effects_.emplace_back();
  change().steps.push_back(std::move(made));
  add_readers(step);
  return step;
}

void PlanDraft::add(Step made, InlinedStep from) {
  add(std::move(made));
  inlined_.push_back(std::move(from));
}

void PlanDraft::remove(std::vector<std::uint32_t> steps) {
  if (steps.empty()) return;
  std::vector<Step>& all = change().steps;
  std::vector<char> gone(all.size(), 0);
  for (std::uint32_t step : steps) gone[step] = 1;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (gone[i] != 0) continue;
    if (kept != i) all[kept] = std::move(all[i]);
    ++kept;
  }
  all.resize(kept);
  index();
}

Result<void> PlanDraft::add_condition(std::uint32_t step, std::string_view condition) {
  const Step& old = steps()[step];
  std::vector<std::string> conjuncts;
  if (old.when) conjuncts = old.when->expr.conjuncts();
  conjuncts.emplace_back(condition);
  auto made = expression_binding(all_of(conjuncts), old.when ? old.when->pos : old.pos);
  if (!made) return std::unexpected(made.error());
  Step changed = old;
  changed.when = *std::move(made);
  replace(step, std::move(changed));
  return {};
}

Result<void> PlanDraft::redirect(std::uint32_t from, std::uint32_t to) {
  return redirect(std::vector<std::pair<std::uint32_t, std::uint32_t>>{{from, to}});
}

Result<void> PlanDraft::redirect(
    const std::vector<std::pair<std::uint32_t, std::uint32_t>>& pairs) {
  Names names;
  std::set<std::uint32_t> touched;
  bool result = false;
  for (const auto& [from, to] : pairs) {
    if (is_fallback(from) || is_fallback(to)) {
      return fail(
          ErrorCode::kFallbackInvalid,
          fmt::format("{} stands in for another step", steps()[is_fallback(from) ? from : to].id));
    }
    names.emplace(steps()[from].id, steps()[to].id);
    for (const Reader& reader : readers(from)) {
      if (reader.step == kNoIndex) result = !failpoint(Failpoint::kRedirectForgetsResult);
      if (reader.step != kNoIndex) touched.insert(reader.step);
    }
  }
  auto name_of = [&](const std::string& id) -> const std::string& {
    auto found = names.find(id);
    return found == names.end() ? id : found->second;
  };
  InputReplacement replace_name = [&](const ExprInput& input) -> std::optional<std::string> {
    if (input.root != "steps" || input.path.size() < 2) return std::nullopt;
    auto found = names.find(input.path[0]);
    if (found == names.end()) return std::nullopt;
    const bool slot = input.slot && !failpoint(Failpoint::kRedirectForgetsSlot);
    return fmt::format("steps.{}.{}{}", found->second, input.path[1], slot ? "[index]" : "");
  };
  std::vector<std::pair<std::uint32_t, Step>> made;
  for (std::uint32_t step : touched) {
    Step changed = steps()[step];
    auto rewritten = rewrite_step(changed, replace_name);
    if (!rewritten) return rewritten;
    auto joined = merge_joins(steps()[step], reads(step), name_of, changed);
    if (!joined) return joined;
    std::vector<Located<std::string>> after;
    for (Located<std::string>& each : changed.after) {
      if (!failpoint(Failpoint::kRedirectForgetsAfter)) each.value = name_of(each.value);
      bool known =
          std::ranges::find(after, each.value, &Located<std::string>::value) != after.end();
      if (!known) after.push_back(std::move(each));
    }
    changed.after = std::move(after);
    if (failpoint(Failpoint::kRedirectLosesJoins)) changed.joins.clear();
    made.emplace_back(step, std::move(changed));
  }
  std::optional<Binding> new_result;
  if (result) {
    auto rewritten = rewrite_binding(plan().result, replace_name);
    if (!rewritten) return std::unexpected(rewritten.error());
    new_result = *std::move(rewritten);
  }
  for (auto& [step, changed] : made) replace(step, std::move(changed));
  if (new_result) set_result(*std::move(new_result));
  for (const auto& [from, to] : names) redirected_.emplace_back(from, to);
  return {};
}

PlanPtr PlanDraft::take(const PlanPtr& written) {
  change();
  if (!copy_->written) copy_->written = written;
  return std::move(copy_);
}

std::string all_of(const std::vector<std::string>& conjuncts) {
  std::string text =
      conjuncts.size() == 1 ? conjuncts[0] : fmt::format("({})", fmt::join(conjuncts, ") and ("));
  // One operand that is certainly a boolean makes the whole one that may be; `when` asks for that.
  bool boolean = std::ranges::any_of(conjuncts, [](const std::string& conjunct) {
    auto made = expression_binding(conjunct, {});
    return made && made->expr.type().kinds() == Type::kBoolean;
  });
  return boolean ? text : fmt::format("({}) and true", text);
}

}  // namespace sluice
