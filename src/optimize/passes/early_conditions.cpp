// early_conditions: conditions are asked before the work that they may spare.
//
// A step that runs only `when` several things hold is skipped as soon as one of them does not. What
// it reads need not have been computed then: a pure or reading step whose readers are all skipped
// where a condition is false gets that condition too, slot by slot or as a single step, and so on
// to what it reads itself. The conditions of one `when` are put in the order of what it costs to
// know them over the part that they turn away, so an exact filter written last is asked first, and
// an expensive question only of rows that the cheap ones let through.
//
// Exact, because a condition only moves along steps where it means the same (equal for_each, no
// status, no round) and where nothing but its readers can tell that a step was skipped. The reader
// keeps its `when` as written. A moved condition that cannot be evaluated holds (`is possible`):
// where it stood it might never have been asked. Refused: steps with effects, fallbacks and what
// they read, repeats, streams, waits, produced plans, whole lists, statuses, `after`, joins that
// put a value in the place of a skipped input; and where waiting for a condition takes longer than
// what it spares.
#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/failpoint.h"
#include "fmt/format.h"
#include "fmt/ranges.h"
#include "optimize/passes/passes.h"

namespace sluice {
namespace {

// A step that waits for another begins later by that one's time, once in a run; what it is spared
// would have been done about so many at a time.
constexpr double kTogether = 4;
constexpr double kLeastRejected = 0.01;

struct Conjunct {
  std::string text;                  // an expression
  std::string owner;                 // the first step that has it
  std::vector<std::uint32_t> reads;  // steps whose outputs it reads, each once
  std::vector<std::uint32_t> slots;  // of them, those of which it reads one slot
  bool item = false;                 // reads `item`
  bool slot = false;                 // reads `index`, or one slot of a step
  bool movable = false;
  double holds = 0.5;  // the part of the rows
};

void add_once(std::vector<std::uint32_t>& list, std::uint32_t number) {
  if (std::ranges::find(list, number) == list.end()) list.push_back(number);
}

// A skipped input skips the step and a failed one fails it.
bool plain_join(const Step& step, std::string_view input) {
  const JoinRule* rule = step.find_join(input);
  return rule == nullptr || (rule->skipped.kind == JoinAction::Kind::kSkip &&
                             rule->failed.kind == JoinAction::Kind::kFail);
}

void state_skip(Step& step, const std::string& input) {
  for (auto& [id, rule] : step.joins) {
    if (id != input) continue;
    rule.states_skipped = true;
    return;
  }
  JoinRule rule;
  rule.states_skipped = true;
  rule.pos = step.pos;
  step.joins.emplace_back(input, std::move(rule));
}

bool reads_output(const Reference& read) {
  return read.mode == EdgeMode::kWhole || read.mode == EdgeMode::kSlot;
}

bool makes_calls(const Step& step) { return step.op != OperatorKind::kValue; }

// Whether running the step may wait for time or a person.
bool waits(const Step& step, const Plan& plan, std::set<const Plan*>& seen) {
  if (step.op == OperatorKind::kWait) return true;
  if (step.op != OperatorKind::kPlan || step.produced_plan) return false;
  const PlanPtr* inner = plan.find_plan(step.target);
  if (inner == nullptr || *inner == nullptr || !seen.insert(inner->get()).second) return false;
  return std::ranges::any_of((*inner)->steps,
                             [&](const Step& each) { return waits(each, **inner, seen); });
}

double default_s(const Step& step) {
  switch (step.op) {
    case OperatorKind::kLlm:
    case OperatorKind::kPlan:
      return cost_defaults().model_s;
    case OperatorKind::kTool:
      return cost_defaults().tool_s;
    case OperatorKind::kCode:
      return cost_defaults().code_s;
    default:
      return cost_defaults().value_s;
  }
}

class EarlyConditions {
 public:
  explicit EarlyConditions(LogicalPassContext& context)
      : context_(context),
        draft_(context.draft),
        count_(draft_.steps().size()),
        own_(count_),
        given_(count_),
        needs_(count_),
        obstacles_(count_),
        known_(count_, nullptr),
        start_s_(count_, 0),
        end_s_(count_, 0) {}

  void run() {
    find_estimates();
    if (!collect()) return;
    const std::vector<std::uint32_t> order = draft_.order();
    link(order);
    for (auto& own : own_) put_in_order(own);
    for (std::size_t i = order.size(); i-- > 0;) consider(order[i]);
    drop_useless(order);
    apply();
  }

 private:
  const Step& step(std::uint32_t index) const { return draft_.steps()[index]; }

  // ---- what there is ----
  void find_estimates() {
    for (const StepEstimate& each : context_.estimate.steps) {
      const std::uint32_t index = draft_.index_of(each.id);
      if (index != kNoIndex && known_[index] == nullptr) known_[index] = &each;
    }
  }

  double task_s(std::uint32_t index) const {
    return known_[index] ? known_[index]->task_s.middle : default_s(step(index));
  }

  // The conditions of all steps, operand by operand.
  bool collect() {
    bool any = false;
    for (std::uint32_t i = 0; i < count_; ++i) {
      const Step& each = step(i);
      if (!each.when || each.when->kind != Binding::Kind::kExpr || draft_.is_fallback(i)) continue;
      const std::vector<std::string> texts = each.when->expr.conjuncts();
      for (std::size_t k = 0; k < texts.size(); ++k) {
        const std::uint32_t number = conjunct(texts[k], each);
        Conjunct& made = conjuncts_[number];
        if (known_[i] && k < known_[i]->conjuncts.size()) {
          made.holds = known_[i]->conjuncts[k].middle;
        }
        if (made.movable && usable(i, made)) add_once(own_[i], number);
      }
      any = any || !own_[i].empty();
    }
    return any;
  }

  std::uint32_t conjunct(const std::string& text, const Step& owner) {
    const auto [at, is_new] = by_text_.emplace(text, static_cast<std::uint32_t>(conjuncts_.size()));
    if (!is_new) return at->second;
    Conjunct made;
    made.text = text;
    made.owner = owner.id;
    made.holds = cost_defaults().selectivity;
    if (auto binding = expression_binding(text, owner.when->pos)) classify(binding->expr, made);
    conjuncts_.push_back(std::move(made));
    return at->second;
  }

  // A condition on a status, a round or an error means something else elsewhere.
  void classify(const Expr& expr, Conjunct& made) const {
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
  bool usable(std::uint32_t index, const Conjunct& condition) const {
    return std::ranges::all_of(condition.reads, [&](std::uint32_t from) {
      return plain_join(step(index), step(from).id);
    });
  }

  // Who waits for whom, and when each would begin if nothing queued.
  void link(const std::vector<std::uint32_t>& order) {
    for (std::uint32_t i = 0; i < count_; ++i) {
      for (const Reference& read : draft_.reads(i)) {
        if (const std::uint32_t from = draft_.index_of(read.step); from != kNoIndex) {
          add_once(needs_[i], from);
        }
      }
      const auto& on_error = step(i).on_error;
      if (!on_error || on_error->kind != OnErrorRule::Kind::kStep) continue;
      const std::uint32_t fallback = draft_.index_of(on_error->step);
      if (fallback == kNoIndex) continue;
      add_once(needs_[i], fallback);
      add_once(needs_[fallback], i);
    }
    for (const std::uint32_t i : order) {
      for (const std::uint32_t from : needs_[i]) start_s_[i] = std::max(start_s_[i], end_s_[from]);
      end_s_[i] = start_s_[i] + task_s(i);
    }
  }

  // Visits the step and all that it needs, once each.
  template <class Visit>
  void visit_needs(const std::vector<std::uint32_t>& from, Visit visit) {
    seen_.assign(count_, 0);
    std::vector<std::uint32_t> open = from;
    while (!open.empty()) {
      const std::uint32_t at = open.back();
      open.pop_back();
      if (std::exchange(seen_[at], 1) != 0) continue;
      if (!visit(at)) return;
      open.insert(open.end(), needs_[at].begin(), needs_[at].end());
    }
  }

  bool waits_for(const Conjunct& condition, std::uint32_t index) {
    bool found = false;
    visit_needs(condition.reads, [&](std::uint32_t at) {
      found = at == index;
      return !found;
    });
    return found;
  }

  // ---- the order of one step's conditions ----
  // What knowing the condition costs that others could spare, less what is paid already.
  double price(const Conjunct& condition, const std::vector<char>& paid) {
    double sum = 0;
    visit_needs(condition.reads, [&](std::uint32_t at) {
      if (paid[at] == 0 && obstacle(at).empty()) sum += task_s(at);
      return true;
    });
    return sum / std::max(1 - condition.holds, kLeastRejected);
  }

  void put_in_order(std::vector<std::uint32_t>& own) {
    std::vector<char> paid(own.size() > 1 ? count_ : 0, 0);
    for (std::size_t done = 0; done + 1 < own.size(); ++done) {
      std::size_t best = done;
      double least = std::numeric_limits<double>::infinity();
      for (std::size_t k = done; k < own.size(); ++k) {
        const double each = price(conjuncts_[own[k]], paid);
        if (each < least) {
          best = k;
          least = each;
        }
      }
      const auto first = own.begin() + static_cast<std::ptrdiff_t>(done);
      const auto chosen = own.begin() + static_cast<std::ptrdiff_t>(best);
      std::rotate(first, chosen, chosen + 1);
      visit_needs(conjuncts_[own[done]].reads, [&](std::uint32_t at) {
        paid[at] = 1;
        return true;
      });
    }
  }

  // ---- which conditions a step gets ----
  // Why the step runs whether or not it is needed; "" when it can be spared.
  const std::string& obstacle(std::uint32_t index) {
    if (!obstacles_[index]) {
      std::string why = own_obstacle(index);
      if (why.empty()) why = readers_obstacle(index);
      obstacles_[index] = std::move(why);
    }
    return *obstacles_[index];
  }

  std::string own_obstacle(std::uint32_t index) const {
    const Step& each = step(index);
    const Plan& plan = draft_.plan();
    std::set<const Plan*> seen;
    if (draft_.is_fallback(index)) return "it stands in for a step that fails";
    if (each.produced_plan) return "it runs a plan that is not known yet";
    if (waits(each, plan, seen)) return "it waits for time or a person";
    const Effect effect = draft_.effect(index);
    const bool acts = effect != Effect::kPure && effect != Effect::kRead;
    if (acts && !failpoint(Failpoint::kEarlyIntoEffects)) {
      return fmt::format("its effect is {}", effect_name(effect));
    }
    if (each.repeat) return "it repeats";
    if (step_streams(each, context_.tools)) return "it gives its items one by one";
    if (each.on_error && each.on_error->kind == OnErrorRule::Kind::kStep) {
      return "another step stands in for it";
    }
    if (can_be_undone(each, plan, context_.tools)) return "it can be undone";
    const bool plain = !each.when || (each.when->kind == Binding::Kind::kExpr &&
                                      !each.when->expr.conjuncts().empty());
    return plain ? "" : "its own condition is a text";
  }

  std::string readers_obstacle(std::uint32_t index) const {
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

  bool has_conditions(const Reader& reader) const {
    return reader.step != kNoIndex && !(own_[reader.step].empty() && given_[reader.step].empty());
  }

  void consider(std::uint32_t index) {
    const std::vector<Reader>& readers = draft_.readers(index);
    if (!std::ranges::any_of(readers, [&](const Reader& each) { return has_conditions(each); })) {
      return;
    }
    if (const std::string& why = obstacle(index); !why.empty()) {
      if (makes_calls(step(index))) context_.notes.refused(step(index).id, why);
      return;
    }
    std::vector<std::uint32_t> offered = offers(readers.front().step, index);
    for (std::size_t i = 1; i < readers.size() && !offered.empty(); ++i) {
      if (readers[i].step == readers[i - 1].step || readers[i].step == kNoIndex) continue;
      if (failpoint(Failpoint::kEarlyFromAnyReader)) break;
      const std::vector<std::uint32_t> others = offers(readers[i].step, index);
      std::erase_if(offered, [&](std::uint32_t each) {
        return std::ranges::find(others, each) == others.end();
      });
    }
    double left = 1;  // part of the rows that those before let through
    for (const std::uint32_t number : offered) {
      if (std::ranges::find(own_[index], number) != own_[index].end()) continue;
      const Conjunct& condition = conjuncts_[number];
      // One that was taken may have made another circular.
      if (waits_for(condition, index) || !worth_it(index, condition, left)) continue;
      given_[index].push_back(number);
      left *= condition.holds;
      for (const std::uint32_t from : condition.reads) {
        add_once(needs_[index], from);
        start_s_[index] = std::max(start_s_[index], end_s_[from]);
      }
      end_s_[index] = start_s_[index] + task_s(index);
    }
  }

  // Where one of these is false the reader does not need the step, and they are known without it.
  std::vector<std::uint32_t> offers(std::uint32_t reader, std::uint32_t index) {
    std::vector<std::uint32_t> found;
    for (const std::uint32_t number : given_[reader]) {
      const Conjunct& condition = conjuncts_[number];
      if (fits(reader, index, condition) && !waits_for(condition, index)) found.push_back(number);
    }
    for (const std::uint32_t number : own_[reader]) {
      const Conjunct& condition = conjuncts_[number];
      if (waits_for(condition, index)) break;  // and those behind it are asked after it
      if (fits(reader, index, condition)) add_once(found, number);
    }
    return found;
  }

  // Whether the condition says the same of the step's task as of the reader's.
  bool fits(std::uint32_t reader, std::uint32_t index, const Conjunct& condition) const {
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
  bool same_rows(std::uint32_t one, std::uint32_t other) const {
    one = source_of_rows(one);
    other = source_of_rows(other);
    if (one == other) return draft_.slots(one);
    const auto& items = step(one).for_each;
    const auto& others = step(other).for_each;
    return items && others && same_binding(*items, *others);
  }

  // A flow has as many slots as the step that it goes over.
  std::uint32_t source_of_rows(std::uint32_t index) const {
    for (const Reference& read : draft_.reads(index)) {
      const std::uint32_t from = draft_.index_of(read.step);
      if (read.exact_items && from != kNoIndex && draft_.slots(from)) return source_of_rows(from);
    }
    return index;
  }

  bool plain_items(std::uint32_t index) const {
    return std::ranges::all_of(draft_.reads(index), [&](const Reference& read) {
      return read.use != EdgeUse::kItems || plain_join(step(index), read.step);
    });
  }

  bool worth_it(std::uint32_t index, const Conjunct& condition, double left) {
    if (!makes_calls(step(index))) return true;
    const StepEstimate* known = known_[index];
    const double rows = known ? known->rows.middle : cost_defaults().items;
    const double spared_s = rows * task_s(index) * left * (1 - condition.holds) / kTogether;
    double later_s = 0;
    std::string_view whom;
    for (const std::uint32_t from : condition.reads) {
      if (end_s_[from] - start_s_[index] <= later_s) continue;
      later_s = end_s_[from] - start_s_[index];
      whom = step(from).id;
    }
    if (spared_s >= later_s) return true;
    context_.notes.refused(
        step(index).id, fmt::format("to wait for {} would take longer than what it spares", whom));
    return false;
  }

  // ---- the change ----
  // Conditions of steps that call nothing are only there to be handed on.
  void drop_useless(const std::vector<std::uint32_t>& order) {
    std::vector<char> useful(count_, 0);
    for (const std::uint32_t i : order) {
      if (given_[i].empty()) continue;
      bool spares = makes_calls(step(i));
      for (const Reference& read : draft_.reads(i)) {
        const std::uint32_t from = draft_.index_of(read.step);
        if (spares || from == kNoIndex || useful[from] == 0) continue;
        spares = std::ranges::any_of(given_[from], [&](std::uint32_t number) {
          return std::ranges::find(given_[i], number) != given_[i].end();
        });
      }
      useful[i] = spares ? 1 : 0;
      if (!spares) given_[i].clear();
    }
  }

  Result<Binding> combined(std::uint32_t index) const {
    std::vector<std::string> texts;
    for (const std::uint32_t number : given_[index]) {
      const bool bare = failpoint(Failpoint::kEarlyNotPossible);
      texts.push_back(fmt::format("({}){}", conjuncts_[number].text, bare ? "" : " is possible"));
    }
    const Step& each = step(index);
    if (each.when && !failpoint(Failpoint::kEarlyReplacesCondition)) {
      for (const std::string& own : each.when->expr.conjuncts()) {
        texts.push_back(failpoint(Failpoint::kEarlyLosesParentheses) ? own
                                                                     : fmt::format("({})", own));
      }
    }
    return expression_binding(fmt::format("{}", fmt::join(texts, " and ")),
                              each.when ? each.when->pos : each.pos);
  }

  void apply() {
    std::map<std::uint32_t, Step> made;
    auto change = [&](std::uint32_t index) -> Step& {
      return made.try_emplace(index, step(index)).first->second;
    };
    for (std::uint32_t i = 0; i < count_; ++i) {
      if (given_[i].empty()) continue;
      auto when = combined(i);
      if (!when) {  // deeper than an expression may be
        context_.notes.refused(step(i).id, when.error().message());
        return;
      }
      change(i).when = *std::move(when);
      for (const Reference& read : draft_.reads(i)) {
        if (reads_output(read)) state_skip(change(i), read.step);
      }
      for (const std::uint32_t number : given_[i]) {
        for (const std::uint32_t from : conjuncts_[number].reads) {
          state_skip(change(i), step(from).id);
        }
      }
      if (failpoint(Failpoint::kEarlyForgetsJoin)) continue;
      for (const Reader& reader : draft_.readers(i)) {
        if (reader.step != kNoIndex) state_skip(change(reader.step), step(i).id);
      }
    }
    for (std::uint32_t i = 0; i < count_; ++i) note(i);
    for (auto& [index, each] : made) draft_.replace(index, std::move(each));
  }

  void note(std::uint32_t index) {
    if (given_[index].empty() || !makes_calls(step(index))) return;
    std::vector<std::string_view> texts;
    std::vector<std::string_view> owners;
    double left = 1;
    for (const std::uint32_t number : given_[index]) {
      const Conjunct& condition = conjuncts_[number];
      texts.push_back(condition.text);
      left *= condition.holds;
      if (std::ranges::find(owners, condition.owner) == owners.end()) {
        owners.push_back(condition.owner);
      }
    }
    PassNote& told = context_.notes.did(
        step(index).id, fmt::format("only where {}, as {} asks", fmt::join(texts, " and "),
                                    fmt::join(owners, ", ")));
    const StepEstimate* known = known_[index];
    if (known == nullptr) return;
    told.saved_calls = known->calls.middle * (1 - left);
    told.saved_s = known->busy_s.middle * (1 - left);
    const double tokens = known->prompt_tokens.middle + known->completion_tokens.middle;
    if (tokens > 0) told.saved_tokens = known->calls.middle * (1 - left) * tokens;
  }

  LogicalPassContext& context_;
  PlanDraft& draft_;
  std::size_t count_;
  std::vector<Conjunct> conjuncts_;
  std::map<std::string, std::uint32_t> by_text_;
  std::vector<std::vector<std::uint32_t>> own_;    // of each step's `when`, into conjuncts_
  std::vector<std::vector<std::uint32_t>> given_;  // what the pass gives it
  std::vector<std::vector<std::uint32_t>> needs_;  // steps that it waits for
  std::vector<std::optional<std::string>> obstacles_;
  std::vector<const StepEstimate*> known_;
  std::vector<double> start_s_, end_s_;
  std::vector<char> seen_;
};

}  // namespace

void rewrite_early_conditions(LogicalPassContext& context) { EarlyConditions(context).run(); }

}  // namespace sluice
