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
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/failpoint.h"
#include "fmt/format.h"
#include "fmt/ranges.h"
#include "optimize/movable_conditions.h"
#include "optimize/passes/passes.h"
#include "optimize/step_skips.h"

namespace sluice {
namespace {

// A step that waits for another begins later by that one's time, once in a run; what it is spared
// would have been done about so many at a time.
constexpr double kTogether = 4;
constexpr double kLeastRejected = 0.01;
// Conditions that a step gets, and those of one step that are put in order: planning takes time,
// too, and behind so many there is little left to be spared.
constexpr std::size_t kMostGiven = 8;
constexpr std::size_t kMostInOrder = 16;

bool makes_calls(const Step& step) { return step.op != OperatorKind::kValue; }

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
        conditions_(draft_, context.tools),
        holds_(conditions_.size(), cost_defaults().selectivity),
        prices_(conditions_.size()),
        own_(count_),
        given_(count_),
        known_(count_, nullptr),
        start_s_(count_, 0),
        end_s_(count_, 0) {}

  void run() {
    if (!conditions_.any()) return;
    const std::vector<std::uint32_t> order = draft_.order();
    find_estimates(order);
    for (std::uint32_t i = 0; i < count_; ++i) put_in_order(own_[i] = conditions_.own(i));
    for (std::size_t i = order.size(); i-- > 0;) consider(order[i]);
    drop_useless(order);
    apply();
  }

 private:
  const Step& step(std::uint32_t index) const { return draft_.steps()[index]; }

  // ---- what is known of it ----
  void find_estimates(const std::vector<std::uint32_t>& order) {
    for (const StepEstimate& each : context_.estimate.steps) {
      const std::uint32_t index = draft_.index_of(each.id);
      if (index != kNoIndex && known_[index] == nullptr) known_[index] = &each;
    }
    for (std::uint32_t number = 0; number < holds_.size(); ++number) {
      for (const auto& [index, operand] : conditions_[number].places) {
        const StepEstimate* known = known_[index];
        if (known == nullptr || operand >= known->conjuncts.size()) continue;
        holds_[number] = known->conjuncts[operand].middle;
      }
    }
    // When each would begin if nothing queued.
    for (const std::uint32_t i : order) {
      for (const std::uint32_t from : conditions_.reach().needs(i)) {
        start_s_[i] = std::max(start_s_[i], end_s_[from]);
      }
      end_s_[i] = start_s_[i] + task_s(i);
    }
  }

  double task_s(std::uint32_t index) const {
    return known_[index] ? known_[index]->task_s.middle : default_s(step(index));
  }

  // ---- the order of one step's conditions ----
  // What knowing the condition costs that others could spare, less what is paid already.
  double price(std::uint32_t number, const std::vector<char>& paid) {
    double sum = 0;
    conditions_.reach().visit(conditions_[number].reads, [&](std::uint32_t at) {
      if (paid[at] == 0 && conditions_.obstacle(at).empty()) sum += task_s(at);
    });
    return sum / std::max(1 - holds_[number], kLeastRejected);
  }

  void put_in_order(std::vector<std::uint32_t>& own) {
    if (own.size() < 2) return;
    std::vector<char> paid(count_, 0);
    for (std::size_t done = 0; done + 1 < std::min(own.size(), kMostInOrder); ++done) {
      std::size_t best = done;
      double least = std::numeric_limits<double>::infinity();
      for (std::size_t k = done; k < own.size(); ++k) {
        const double each = price(own[k], paid);
        if (each < least) {
          best = k;
          least = each;
        }
      }
      const auto first = own.begin() + static_cast<std::ptrdiff_t>(done);
      const auto chosen = own.begin() + static_cast<std::ptrdiff_t>(best);
      std::rotate(first, chosen, chosen + 1);
      conditions_.reach().visit(conditions_[own[done]].reads,
                                [&](std::uint32_t at) { paid[at] = 1; });
    }
  }

  // The cheapest of too many, in an order of their own.
  void bound(std::vector<std::uint32_t>& offered) {
    if (offered.size() <= kMostGiven) return;
    for (const std::uint32_t number : offered) {
      if (!prices_[number]) prices_[number] = price(number, std::vector<char>(count_, 0));
    }
    std::ranges::sort(offered, {},
                      [&](std::uint32_t number) { return std::pair(*prices_[number], number); });
    offered.resize(kMostGiven);
  }

  // ---- which conditions a step gets ----
  bool has_conditions(const Reader& reader) const {
    return reader.step != kNoIndex && !(own_[reader.step].empty() && given_[reader.step].empty());
  }

  void refused(std::uint32_t index, std::string why) {
    if (makes_calls(step(index))) context_.notes.refused(step(index).id, std::move(why));
  }

  void consider(std::uint32_t index) {
    const std::vector<Reader>& readers = draft_.readers(index);
    if (!std::ranges::any_of(readers, [&](const Reader& each) { return has_conditions(each); })) {
      return;
    }
    if (const std::string& why = conditions_.obstacle(index); !why.empty()) {
      return refused(index, why);
    }
    std::vector<std::uint32_t> offered = offers_of_all(index);
    if (offered.empty()) return;
    if (std::string why = conditions_.readers_end(index); !why.empty()) {
      return refused(index, std::move(why));
    }
    bound(offered);
    double left = 1;  // part of the rows that those before let through
    for (const std::uint32_t number : offered) {
      const MovableCondition& condition = conditions_[number];
      // One that was taken may have made another circular.
      if (conditions_.waits_for(condition, index) || !worth_it(index, number, left)) continue;
      given_[index].push_back(number);
      left *= holds_[number];
      conditions_.let_wait(index, condition);
      for (const std::uint32_t from : condition.reads) {
        start_s_[index] = std::max(start_s_[index], end_s_[from]);
      }
      end_s_[index] = start_s_[index] + task_s(index);
    }
  }

  // Without any of its readers' needing it, and not among its own.
  std::vector<std::uint32_t> offers_of_all(std::uint32_t index) {
    const std::vector<Reader>& readers = draft_.readers(index);
    std::vector<std::uint32_t> offered;
    std::uint32_t last = kNoIndex;
    for (const Reader& reader : readers) {
      if (reader.step == last || reader.step == kNoIndex) continue;
      if (last != kNoIndex && failpoint(Failpoint::kEarlyFromAnyReader)) break;
      const std::vector<std::uint32_t> others = offers(reader.step, index);
      if (last == kNoIndex) offered = others;
      last = reader.step;
      if (offered.empty()) break;
      std::erase_if(offered, [&](std::uint32_t each) {
        return std::ranges::find(others, each) == others.end();
      });
    }
    std::erase_if(offered, [&](std::uint32_t each) {
      return std::ranges::find(own_[index], each) != own_[index].end();
    });
    return offered;
  }

  // Where one of these is false the reader does not need the step, and they are known without it.
  std::vector<std::uint32_t> offers(std::uint32_t reader, std::uint32_t index) const {
    std::vector<std::uint32_t> found;
    for (const std::uint32_t number : given_[reader]) {
      const MovableCondition& condition = conditions_[number];
      if (conditions_.waits_for(condition, index)) continue;
      if (conditions_.fits(reader, index, condition)) found.push_back(number);
    }
    for (const std::uint32_t number : own_[reader]) {
      const MovableCondition& condition = conditions_[number];
      if (conditions_.waits_for(condition, index)) break;  // and those behind it are asked after it
      if (!conditions_.fits(reader, index, condition)) continue;
      if (std::ranges::find(found, number) == found.end()) found.push_back(number);
    }
    return found;
  }

  bool worth_it(std::uint32_t index, std::uint32_t number, double left) {
    const MovableCondition& condition = conditions_[number];
    if (!makes_calls(step(index))) return true;
    const StepEstimate* known = known_[index];
    const double rows = known ? known->rows.middle : cost_defaults().items;
    const double spared_s = rows * task_s(index) * left * (1 - holds_[number]) / kTogether;
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
      const MovableCondition& given = conditions_[number];
      const bool bare = given.forgives || failpoint(Failpoint::kEarlyNotPossible);
      texts.push_back(fmt::format("({}){}", given.text, bare ? "" : " is possible"));
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
      if (when) {
        change(i).when = *std::move(when);
      } else {  // deeper than an expression may be; what it reads may be skipped all the same
        refused(i, when.error().message());
      }
      for (const Reference& read : draft_.reads(i)) {
        if (reads_output(read)) state_skip(change(i), read.step);
      }
      for (const std::uint32_t number : given_[i]) {
        for (const std::uint32_t from : conditions_[number].reads) {
          if (when) state_skip(change(i), step(from).id);
        }
      }
      if (!when) given_[i].clear();
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
      const MovableCondition& condition = conditions_[number];
      texts.push_back(condition.said);
      left *= holds_[number];
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
  MovableConditions conditions_;
  std::vector<double> holds_;                      // by condition: the part of the rows
  std::vector<std::optional<double>> prices_;      // by condition, where it was asked
  std::vector<std::vector<std::uint32_t>> own_;    // of each step's `when`, in order
  std::vector<std::vector<std::uint32_t>> given_;  // what the pass gives it
  std::vector<const StepEstimate*> known_;
  std::vector<double> start_s_, end_s_;
};

}  // namespace

void rewrite_early_conditions(LogicalPassContext& context) {
  const auto& steps = context.draft.steps();
  if (std::ranges::none_of(steps, [](const Step& each) { return each.when.has_value(); })) return;
  EarlyConditions(context).run();
}

}  // namespace sluice
