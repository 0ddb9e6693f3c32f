#include "optimize/movable_conditions.h"

#include <algorithm>

#include "base/failpoint.h"
#include "data/expr/calls.h"
#include "data/expr/parts.h"
#include "fmt/format.h"
#include "fmt/ranges.h"
#include "optimize/step_skips.h"

namespace sluice {
namespace {

void add_once(std::vector<std::uint32_t>& list, std::uint32_t number) {
  if (std::ranges::find(list, number) == list.end()) list.push_back(number);
}

// What is asked in `(x) is possible`; nullopt: the condition is no such one.
std::optional<std::string> asked_as_possible(const Expr& expr) {
  const ExprProgram& program = expr::program_of(expr);
  const expr::Node& root = program.nodes[program.root];
  if (root.op != expr::Op::kTest || root.flag == 1) return std::nullopt;
  if (!program.calls[root.b].test->forgives) return std::nullopt;
  const std::vector<std::string> inner = expr::part_of(expr, root.a).conjuncts();
  return inner.empty() ? std::nullopt : std::optional(fmt::format("{}", fmt::join(inner, " and ")));
}

}  // namespace

MovableConditions::MovableConditions(const PlanDraft& draft, const ToolCatalog& tools)
    : draft_(draft),
      tools_(tools),
      reach_(draft),
      own_(draft.steps().size()),
      obstacles_(draft.steps().size()) {
  collect();
}

void MovableConditions::collect() {
  for (std::uint32_t i = 0; i < own_.size(); ++i) {
    const Step& each = step(i);
    if (!each.when || each.when->kind != Binding::Kind::kExpr || draft_.is_fallback(i)) continue;
    const std::vector<std::string> texts = each.when->expr.conjuncts();
    for (std::size_t k = 0; k < texts.size(); ++k) {
      const std::uint32_t number = number_of(texts[k], each);
      conditions_[number].places.emplace_back(i, k);
      if (conditions_[number].movable && usable(i, conditions_[number])) add_once(own_[i], number);
    }
    any_ = any_ || !own_[i].empty();
  }
}

std::uint32_t MovableConditions::number_of(const std::string& text, const Step& owner) {
  const auto [at, is_new] = by_text_.emplace(text, static_cast<std::uint32_t>(conditions_.size()));
  if (!is_new) return at->second;
  MovableCondition made;
  made.text = made.said = text;
  made.owner = owner.id;
  if (auto binding = expression_binding(text, owner.when->pos)) classify(binding->expr, made);
  conditions_.push_back(std::move(made));
  return at->second;
}

// A condition on a status, a round or an error means something else elsewhere.
void MovableConditions::classify(const Expr& expr, MovableCondition& made) const {
  const auto asked = asked_as_possible(expr);
  made.forgives = asked.has_value();
  if (asked) made.said = *asked;
  made.movable = !expr.inputs().empty() && !expr.is_template();
  for (const ExprInput& input : expr.inputs()) {
    if (input.root == "params" || input.root == "run") continue;
    const bool output =
        input.root == "steps" && input.path.size() >= 2 && input.path[1] == "output";
    const std::uint32_t from = output ? draft_.index_of(input.path[0]) : kNoIndex;
    if (input.root == "item") {
      made.item = true;
    } else if (input.root == "index") {
      made.slot = true;
    } else if (from != kNoIndex) {
      made.slot = made.slot || input.slot;
      if (input.slot) add_once(made.slots, from);
      add_once(made.reads, from);
    } else {
      made.movable = false;
    }
  }
}

// Whether what the condition reads means the same to the step as to one without joins.
bool MovableConditions::usable(std::uint32_t index, const MovableCondition& condition) const {
  return std::ranges::all_of(
      condition.reads, [&](std::uint32_t from) { return plain_join(step(index), step(from).id); });
}

const std::string& MovableConditions::obstacle(std::uint32_t index) {
  if (!obstacles_[index]) {
    std::string why = own_obstacle(index);
    if (why.empty()) why = reader_obstacle(index);
    obstacles_[index] = std::move(why);
  }
  return *obstacles_[index];
}

std::string MovableConditions::own_obstacle(std::uint32_t index) const {
  const Step& each = step(index);
  const Plan& plan = draft_.plan();
  if (draft_.is_fallback(index)) return "it stands in for a step that fails";
  if (each.produced_plan) return "it runs a plan that is not known yet";
  if (waits(each, plan)) return "it waits for time or a person";
  const Effect effect = draft_.effect(index);
  const bool acts = effect != Effect::kPure && effect != Effect::kRead;
  if (acts && !failpoint(Failpoint::kEarlyIntoEffects)) {
    return fmt::format("its effect is {}", effect_name(effect));
  }
  if (each.repeat) return "it repeats";
  if (step_streams(each, tools_)) return "it gives its items one by one";
  if (each.on_error && each.on_error->kind == OnErrorRule::Kind::kStep) {
    return "another step stands in for it";
  }
  if (can_be_undone(each, plan, tools_)) return "it can be undone";
  const bool plain = !each.when || (each.when->kind == Binding::Kind::kExpr &&
                                    !each.when->expr.conjuncts().empty());
  return plain ? "" : "its own condition is a text";
}

std::string MovableConditions::reader_obstacle(std::uint32_t index) const {
  const std::string& id = step(index).id;
  for (const Reader& reader : draft_.readers(index)) {
    if (reader.step == kNoIndex) {
      if (failpoint(Failpoint::kEarlyIgnoresResult)) continue;
      return "the result reads it";
    }
    const Step& who = step(reader.step);
    if (reader.read.mode == EdgeMode::kStatus) return who.id + " reads its status";
    if (reader.read.mode == EdgeMode::kOrder) return who.id + " comes after it";
    if (draft_.is_fallback(reader.step)) return who.id + " reads it when another step fails";
    const bool whole = draft_.slots(index) && !draft_.reads_slot(reader);
    if (whole && !failpoint(Failpoint::kEarlyIgnoresWhole)) return who.id + " reads all of it";
    if (!draft_.slots(index) && reader.read.use == EdgeUse::kItems) {
      return who.id + " goes through its items";
    }
    const JoinRule* rule = who.find_join(id);
    const bool stated = rule && rule->skipped.kind != JoinAction::Kind::kSkip;
    if (stated && !failpoint(Failpoint::kEarlyIgnoresJoin)) {
      return who.id + " runs without it where it is skipped";
    }
  }
  return "";
}

// What the step waits for with its body only; or all of which it waits for before it knows whether
// it is skipped.
std::vector<std::uint32_t> MovableConditions::read_by(std::uint32_t index, bool body) const {
  std::vector<std::uint32_t> all;
  for (const Reference& read : draft_.reads(index)) {
    const std::uint32_t from = draft_.index_of(read.step);
    if (from == kNoIndex || (read.use == EdgeUse::kBody) != body) continue;
    if (body || !draft_.reads_slot({index, read})) all.push_back(from);
  }
  return all;
}

// A reader that needs it for its body only is skipped before, by its own condition.
std::string MovableConditions::readers_end(std::uint32_t index) {
  if (failpoint(Failpoint::kEarlyEndsReaders)) return "";
  for (const Reader& reader : draft_.readers(index)) {
    if (reader.step == kNoIndex || reader.read.use == EdgeUse::kBody) continue;
    if (!ends_) ends_.emplace(draft_);
    std::vector<std::uint32_t> kept = read_by(index, false);
    for (const std::uint32_t from : read_by(reader.step, false)) {
      if (from != index) kept.push_back(from);
    }
    std::string why = ends_->obstacle(reader.step, read_by(index, true), kept, index);
    if (!why.empty()) return why;
  }
  return "";
}

// Whether the condition says the same of the step's task as of the reader's.
bool MovableConditions::fits(std::uint32_t reader, std::uint32_t index,
                             const MovableCondition& condition) const {
  if (!usable(index, condition)) return false;
  if (!condition.item && !condition.slot) return true;
  const Step& from = step(reader);
  const Step& to = step(index);
  if (!from.for_each || !to.for_each) return false;
  if (!plain_items(reader) || !plain_items(index)) return false;
  if (failpoint(Failpoint::kEarlyOtherItems)) return true;
  // A slot that is not there fails its reader, whatever the condition makes of it.
  const bool there = std::ranges::all_of(
      condition.slots, [&](std::uint32_t each) { return same_rows(each, index); });
  if (!there) return false;
  if (same_binding(*from.for_each, *to.for_each)) return true;
  // Slot i of a flow is task i of who reads it.
  const bool same = !condition.item || failpoint(Failpoint::kEarlyItemOfFlow);
  return same && std::ranges::any_of(draft_.reads(reader), [&](const Reference& read) {
           return read.exact_items && read.step == to.id && draft_.slots(index);
         });
}

// Slot i of the one is there where the other has a slot i.
bool MovableConditions::same_rows(std::uint32_t one, std::uint32_t other) const {
  one = source_of_rows(one);
  other = source_of_rows(other);
  if (one == other) return draft_.slots(one);
  const auto& items = step(one).for_each;
  const auto& others = step(other).for_each;
  return items && others && same_binding(*items, *others);
}

// A flow has as many slots as the step that it goes over.
std::uint32_t MovableConditions::source_of_rows(std::uint32_t index) const {
  for (const Reference& read : draft_.reads(index)) {
    const std::uint32_t from = draft_.index_of(read.step);
    if (read.exact_items && from != kNoIndex && draft_.slots(from)) return source_of_rows(from);
  }
  return index;
}

bool MovableConditions::plain_items(std::uint32_t index) const {
  return std::ranges::all_of(draft_.reads(index), [&](const Reference& read) {
    return read.use != EdgeUse::kItems || plain_join(step(index), read.step);
  });
}

}  // namespace sluice
