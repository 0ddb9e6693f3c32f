// fold_constants: what is known before the run stands where it is read.
//
//   lang: {value: English}
//   a: {when: "{{ params.fast and item.ok }}", llm: default, with: {prompt: "In {{
//   steps.lang.output }}"}}
//
// With params.fast true, `a` has `when: "{{ item.ok }}"` and the prompt `In {{ "English" }}`: what
// {{ }} gave stays data. A `when` that is always true goes away; where it is always false the step
// can only be skipped, and so can the steps that skip where it is: those keep their names and
// states, but nothing is computed for them any more.
//
// Exact because parameters and constant `value` steps cannot change, be skipped or fail. Folded in
// `when`, `value`, `with` (of a model only the messages and the prompt: its settings decide what
// the step's effect is). Left alone: labelled values, values of more than a few hundred bytes,
// blobs; for_each, whose form says whether it flows.
//
// Refuses: to skip a step before what it waits for has ended, where another one comes after it or
// reads its status (or that of a step that is skipped with it) and something with an effect comes
// behind: what fails holds that up. And where it waits for something with an effect, and something
// that acts or reads comes behind it in whatever way.
#include <algorithm>
#include <map>
#include <set>

#include "base/failpoint.h"
#include "fmt/format.h"
#include "fmt/ranges.h"
#include "optimize/early_ends.h"
#include "optimize/passes/passes.h"
#include "optimize/step_skips.h"

namespace sluice {
namespace {

constexpr std::size_t kMostBytes = 512;  // of a value that is written out at each place

enum class Condition { kNone, kOpen, kTrue, kFalse };

class Folding {
 public:
  explicit Folding(LogicalPassContext& context)
      : draft_(context.draft), notes_(context.notes), params_(context.params) {}

  void run() {
    for (std::uint32_t step : draft_.order()) {
      decide(step, fold(step));
      learn(draft_.steps()[step]);
    }
    clear_dead();
  }

 private:
  // The literal that an input always is.
  std::optional<std::string> literal_of(const ExprInput& input) {
    if (input.slot) return std::nullopt;
    if (input.root == "steps" && input.path.size() == 2 && input.path[1] == "output") {
      auto found = values_.find(input.path[0]);
      return found == values_.end() ? std::nullopt : found->second;
    }
    if (input.root != "params" || !params_ || input.path.empty()) return std::nullopt;
    auto [known, fresh] = given_.try_emplace(input.path[0]);
    const Value* value = fresh ? params_->find(input.path[0]) : nullptr;
    if (value && failpoint(Failpoint::kFoldOtherParam)) value = &params_->members().front().second;
    if (value) known->second = literal_text(*value, kMostBytes);
    return known->second;
  }

  // The binding with what is known in it; nullopt when that is nothing. `what`: names of that.
  std::optional<Binding> folded(const Binding& binding, std::set<std::string>& what) {
    std::set<std::string> names;
    binding.for_each_expr([&](const Binding& leaf) {
      for (const ExprInput& input : leaf.expr.inputs()) {
        if (!literal_of(input)) continue;
        names.insert(input.root == "steps" ? input.path[0] : input.dotted());
      }
    });
    if (names.empty()) return std::nullopt;
    auto made = rewrite_binding(binding, [&](const ExprInput& input) { return literal_of(input); });
    if (!made) return std::nullopt;  // it would not compile: it fails where it stands
    what.merge(names);
    return *std::move(made);
  }

  // True when its `when` was rewritten.
  bool fold(std::uint32_t index) {
    const Step& old = draft_.steps()[index];
    if (draft_.reads(index).empty() && !params_) return false;  // nothing that could be known
    if (old.op == OperatorKind::kWait) return false;
    std::optional<Step> made;
    std::set<std::string> what;
    auto fold_one = [&](const Binding& binding, auto place) {
      std::optional<Binding> changed = folded(binding, what);
      if (!changed) return false;
      if (!made) made = old;
      place(*made) = *std::move(changed);
      return true;
    };
    bool when = old.when && fold_one(*old.when, [](Step& step) -> Binding& { return *step.when; });
    if (old.op == OperatorKind::kValue) {
      fold_one(old.value, [](Step& step) -> Binding& { return step.value; });
    }
    for (std::size_t i = 0; i < old.with.members.size(); ++i) {
      const std::string& key = old.with.members[i].first;
      if (old.op == OperatorKind::kLlm && key != "messages" && key != "prompt") continue;
      fold_one(old.with.members[i].second,
               [i](Step& step) -> Binding& { return step.with.members[i].second; });
    }
    if (!made) return false;
    notes_.did(old.id, fmt::format("{} known: written where {} read", fmt::join(what, ", "),
                                   what.size() == 1 ? "it is" : "they are"));
    draft_.replace(index, *std::move(made));
    return when;
  }

  // What is left of a condition when the operands that are always true are left out. `may_fail`:
  // operands in front of one that is always false.
  static Condition open_condition(const Binding& when, Binding& left, bool& may_fail) {
    if (when.kind != Binding::Kind::kExpr || when.broken) return Condition::kNone;
    if (auto constant = when.expr.as_constant()) {
      if (failpoint(Failpoint::kFoldFalseIsTrue)) return Condition::kTrue;
      return truthy(*constant) ? Condition::kTrue : Condition::kFalse;
    }
    std::vector<std::string> open;
    Binding last;
    std::vector<std::string> all = when.expr.conjuncts();
    if (all.size() < 2) return Condition::kNone;
    for (std::string& conjunct : all) {
      auto alone = expression_binding(conjunct, when.pos);
      if (!alone) return Condition::kNone;
      auto constant = alone->expr.inputs().empty() ? alone->expr.as_constant() : std::nullopt;
      may_fail = !open.empty();
      if (constant && !truthy(*constant)) return Condition::kFalse;
      if (constant) continue;
      open.push_back(std::move(conjunct));
      last = *std::move(alone);
    }
    if (open.empty()) return Condition::kTrue;
    if (open.size() == all.size()) return Condition::kNone;
    if (failpoint(Failpoint::kFoldLosesConjunct)) open.resize(1);
    bool alone = open.size() == 1 && last.expr.type().kinds() == Type::kBoolean;
    auto made =
        alone ? Result<Binding>(std::move(last)) : expression_binding(all_of(open), when.pos);
    if (!made) return Condition::kNone;
    left = *std::move(made);
    return Condition::kOpen;
  }

  // Takes the parts of `when` away that are decided.
  void decide(std::uint32_t index, bool rewritten) {
    const Step& old = draft_.steps()[index];
    if (draft_.is_fallback(index)) return;
    if (always_skipped(index)) dead_.insert(old.id);
    bool constant = old.when && old.when->as_constant().has_value();
    if (!constant && !rewritten) return;
    Binding left;
    bool may_fail = false;
    Condition condition = open_condition(*old.when, left, may_fail);
    if (condition == Condition::kFalse) dead_.insert(old.id);
    if (condition == Condition::kNone ||
        (condition == Condition::kFalse && constant && !rewritten)) {
      return;
    }
    if (condition == Condition::kFalse && !failpoint(Failpoint::kFoldEndsEarly)) {
      const std::uint32_t guard = may_fail ? index : kNoIndex;
      const std::string why = ends().obstacle(index, waited_for(index, EdgeUse::kWhen), {}, guard);
      if (!why.empty()) return refuse_skip(old.id, why);
    }
    Step made = old;
    if (condition == Condition::kTrue) {
      // Inputs are looked at in two rounds where there is a `when`, and in one where there is none:
      // with joins it matters which of two missing ones is seen first.
      auto holds = expression_binding("true", old.when->pos);
      if (!old.joins.empty() && (!holds || !rewritten)) return;
      made.when.reset();
      if (!old.joins.empty()) made.when = *std::move(holds);
      notes_.did(old.id, "its `when` is always true: not asked");
    } else {
      bool never = condition == Condition::kFalse;
      auto open = never ? expression_binding("false", old.when->pos) : Result<Binding>(left);
      if (!open) return;
      made.when = *std::move(open);
      notes_.did(old.id, never ? "its `when` is always false: it can only be skipped"
                               : "a part of its `when` is always true: asked no more");
    }
    draft_.replace(index, std::move(made));
  }

  const EarlyEnds& ends() {
    if (!ends_) ends_.emplace(draft_);
    return *ends_;
  }

  // What it would wait for no more without what it reads for the use. Its items stay.
  std::vector<std::uint32_t> waited_for(std::uint32_t index, EdgeUse use) const {
    std::vector<std::uint32_t> all;
    for (const Reference& read : draft_.reads(index)) {
      const std::uint32_t from = draft_.index_of(read.step);
      if (read.use == use && from != kNoIndex) all.push_back(from);
    }
    return all;
  }

  void refuse_skip(const std::string& id, std::string_view why) {
    if (!refused_.insert(id).second) return;
    notes_.refused(id, fmt::format("it can only be skipped, but not earlier: {}", why));
  }

  // Whether an input that is always skipped skips every task of the step. Not its items: what they
  // are is asked for all the same.
  bool always_skipped(std::uint32_t index) const {
    const Step& step = draft_.steps()[index];
    for (const Reference& read : draft_.reads(index)) {
      auto dead =
          reads_output(read) && read.use != EdgeUse::kItems ? dead_.find(read.step) : dead_.end();
      if (dead == dead_.end()) continue;
      std::uint32_t from = draft_.index_of(read.step);
      if (draft_.steps()[from].for_each) continue;  // a list of empty slots
      const JoinRule* join = step.find_join(read.step);
      if (!join || join->skipped.kind == JoinAction::Kind::kSkip) return true;
    }
    return false;
  }

  // What only skipped steps would have read is read no more. Readers first, so that a step whose
  // readers are all cleared can be cleared too.
  void clear_dead() {
    if (dead_.empty()) return;
    std::vector<std::uint32_t> order = draft_.order();
    for (auto step = order.rbegin(); step != order.rend(); ++step) {
      const Step& old = draft_.steps()[*step];
      if (!dead_.contains(old.id) || draft_.effect(*step) > Effect::kRead) continue;
      bool reads_more = std::ranges::any_of(
          draft_.reads(*step), [](const Reference& read) { return read.use != EdgeUse::kItems; });
      if (!reads_more || !output_unread(*step)) continue;
      if (const std::string why = end_obstacle(*step); !why.empty()) {
        refuse_skip(old.id, why);
        continue;
      }
      auto never = expression_binding("false", old.when ? old.when->pos : old.pos);
      if (!never) continue;
      notes_.did(old.id, "it is always skipped: what it would read is not done for it");
      draft_.replace(*step, emptied(old, *std::move(never)));
    }
  }

  // Why it has to wait for what it reads, although it is skipped then.
  std::string end_obstacle(std::uint32_t index) {
    if (failpoint(Failpoint::kFoldClearsEarly)) return "";
    const Step& step = draft_.steps()[index];
    const std::optional<Value> when = step.when ? step.when->as_constant() : std::nullopt;
    const bool never = when && !truthy(*when);
    std::vector<std::uint32_t> lost = waited_for(index, EdgeUse::kWhen);
    // What the body reads is not looked at behind a condition that is false.
    if (!never) {
      const std::vector<std::uint32_t> body = waited_for(index, EdgeUse::kBody);
      lost.insert(lost.end(), body.begin(), body.end());
    }
    // Its condition may fail, too.
    return ends().obstacle(index, lost, {}, step.when && !never ? index : kNoIndex);
  }

  // Readers that take the output as it comes see the null of a skipped step, as before; others
  // might not verify with the type of a null.
  bool output_unread(std::uint32_t step) const {
    return std::ranges::all_of(draft_.readers(step), [&](const Reader& reader) {
      if (reader.read.mode == EdgeMode::kStatus || reader.read.mode == EdgeMode::kOrder)
        return true;
      return reader.step == kNoIndex && draft_.plan().result.expr.as_input().has_value();
    });
  }

  // The step with its id, its items and a condition that never holds; nothing else is looked at.
  static Step emptied(const Step& old, Binding never) {
    Step made;
    made.id = old.id;
    made.pos = old.pos;
    made.op_pos = old.op_pos;
    made.target_pos = old.target_pos;
    made.op = OperatorKind::kValue;
    made.with.kind = Binding::Kind::kMap;
    made.for_each = old.for_each;
    made.when = std::move(never);
    made.concurrency = old.concurrency;
    made.joins = old.joins;  // of its items
    if (old.on_error && old.on_error->kind == OnErrorRule::Kind::kStep) {
      made.on_error = old.on_error;  // the other one goes on standing in
    }
    return made;
  }

  // A step that is a constant from now on.
  void learn(const Step& step) {
    bool plain =
        step.op == OperatorKind::kValue && (!step.for_each || failpoint(Failpoint::kFoldMapped)) &&
        (!step.when || failpoint(Failpoint::kFoldConditional)) && !step.repeat && !step.output &&
        (step.after.empty() || failpoint(Failpoint::kFoldForgetsOrder)) && step.joins.empty();
    if (!plain || draft_.is_fallback(draft_.index_of(step.id))) return;
    auto value = step.value.as_constant();
    if (!value) return;
    auto text = literal_text(*value, kMostBytes);
    if (text) values_.emplace(step.id, *std::move(text));
  }

  PlanDraft& draft_;
  PassNotes& notes_;
  const Value* params_;
  std::optional<EarlyEnds> ends_;  // once something can only be skipped
  std::map<std::string, std::optional<std::string>, std::less<>> values_;  // of constant steps
  std::map<std::string, std::optional<std::string>, std::less<>> given_;   // of parameters
  std::set<std::string, std::less<>> dead_;     // steps that can only be skipped
  std::set<std::string, std::less<>> refused_;  // of them, those that may not be so earlier
};

}  // namespace

void rewrite_fold_constants(LogicalPassContext& context) { Folding(context).run(); }

}  // namespace sluice
