#include "cost/row_estimate.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "cost/table_rows.h"
#include "data/value_codec.h"
#include "plan/rewrite.h"
#include "plan/row_condition.h"
#include "plan/table_query.h"

namespace sluice {
namespace {

constexpr std::size_t kTriedItems = 64;  // on which a condition is evaluated before the run
constexpr std::size_t kFewRuns = 16;     // that say less than what was seen of the first rows

bool calls_something(OperatorKind op) {
  return op == OperatorKind::kLlm || op == OperatorKind::kTool || op == OperatorKind::kCode;
}

bool fails_alone(const PhysicalStep& step) {
  const auto& rule = step.logical.on_error;
  const auto kind = rule ? rule->kind : OnErrorRule::Kind::kFail;
  return kind == OnErrorRule::Kind::kFail || kind == OnErrorRule::Kind::kSkip;
}

Estimate root_of(const Estimate& share, std::size_t parts) {
  const double part = 1 / static_cast<double>(parts);
  return {std::pow(share.middle, part), std::pow(share.low, part), std::pow(share.high, part),
          share.source};
}

class RowEstimator {
 public:
  RowEstimator(const PhysicalPlan& plan, const Estimate& runs, KnownValues& known,
               Observed& observed, const CountedItems& counted)
      : plan_(plan),
        runs_(runs),
        known_(known),
        observed_(observed),
        counted_(counted),
        conditions_(conditions_of(plan)),
        holds_(conditions_.keys.size()),
        items_(plan.steps.size()),
        fails_(plan.steps.size()),
        made_(plan.steps.size()) {
    if (conditions_.always != kNoIndex) holds_[conditions_.always] = Estimate::exact(1);
  }

  std::vector<StepRows> estimate() {
    for (std::uint32_t i = 0; i < plan_.steps.size(); ++i) step(i);
    for (std::uint32_t i = 0; i < plan_.steps.size(); ++i) fallback(i);
    return std::move(made_);
  }

 private:
  void step(std::uint32_t index) {
    const PhysicalStep& step = plan_.steps[index];
    StepRows& made = made_[index];
    conditions(index);
    items_[index] = step.mapped ? items_of(index) : Estimate::exact(1);
    const StepConditions& needs = conditions_.steps[index];
    made.rows = runs_ * items_[index];
    needs.whole.for_each([&](std::uint32_t key) { take_part(made.rows, key); });
    made.asked = made.rows;
    needs.task.for_each([&](std::uint32_t key) {
      if (!needs.whole.has(key)) take_part(made.asked, key);
    });
    if (step.when && needs.own.empty()) made.asked = made.asked * made.selectivity;
    failures(index);
    calls(index);
    if (step.logical.op == OperatorKind::kTable && step.logical.table) made.given = given(index);
  }

  // In place: a long chain of conditions has many of these.
  void take_part(Estimate& tasks, std::uint32_t key) const {
    const Estimate& part = *holds_[key];
    tasks.middle *= part.middle;
    tasks.low *= part.low;
    tasks.high *= part.high;
    tasks.source = std::max(tasks.source, part.source);
  }

  // ---- conditions ----
  void conditions(std::uint32_t index) {
    const PhysicalStep& step = plan_.steps[index];
    StepRows& made = made_[index];
    made.selectivity = Estimate::exact(1);
    if (!step.when) return;
    const StepConditions& own = conditions_.steps[index];
    if (own.own.empty()) {
      const auto constant = step.when->binding.as_constant();
      made.selectivity = constant ? Estimate::exact(truthy(*constant) ? 1 : 0) : unknown_share();
      return;
    }
    learn_conditions(index, own);
    for (std::uint32_t key : own.own) {
      made.conjuncts.push_back(*holds_[key]);
      made.selectivity = made.selectivity * *holds_[key];
    }
  }

  static Estimate unknown_share() {
    const double share = cost_defaults().selectivity;
    return {share, share / 2, (1 + share) / 2, EstimateSource::kDefault};
  }

  // Each by itself where it was seen alone, else its part of what they let through together.
  void learn_conditions(std::uint32_t index, const StepConditions& own) {
    try_on_runs(index, own);
    std::vector<std::uint32_t> open;
    for (std::uint32_t key : own.own) {
      if (holds_[key]) continue;
      holds_[key] = observed_.find(conditions_.keys[key])
                        .share(&StepStatistics::held, &StepStatistics::conditions);
      if (!holds_[key]) open.push_back(key);
    }
    if (open.empty()) return;
    std::optional<Estimate> together;
    if (open.size() == own.fresh.size() && own.fresh.size() > 1) {
      together =
          observed_.find(own.together).share(&StepStatistics::held, &StepStatistics::conditions);
    }
    const auto certain = static_cast<std::size_t>(std::ranges::count(own.own, conditions_.always));
    if (!together && open.size() + certain == own.own.size()) together = tried(index);
    for (std::uint32_t key : open) {
      holds_[key] = together ? root_of(*together, open.size()) : unknown_share();
    }
  }

  // What reads nothing but the plan's parameters holds for a part of its runs that can be counted.
  // What was seen of the first rows says less: tables often lie in some order.
  void try_on_runs(std::uint32_t index, const StepConditions& own) {
    const std::size_t count = known_.runs().size();
    if (count < kFewRuns && !all_runs()) return;
    const Binding& when = plan_.steps[index].when->binding;
    if (count == 0 || when.kind != Binding::Kind::kExpr) return;
    const std::vector<std::string> texts = when.expr.conjuncts();
    for (std::size_t i = 0; i < texts.size() && i < own.own.size(); ++i) {
      const std::uint32_t key = own.own[i];
      if (holds_[key]) continue;
      auto binding = expression_binding(texts[i], when.pos);
      if (!binding || binding->expr.inputs().empty()) continue;
      std::vector<bool> held;
      for (std::size_t run = 0; run < count; ++run) {
        auto value = known_.of_run(binding->expr, run);
        if (!value) break;
        held.push_back(truthy(*value));
      }
      if (held.size() < count) continue;
      const auto true_ones = static_cast<double>(std::ranges::count(held, true));
      const auto all = static_cast<double>(count);
      holds_[key] = all_runs() ? Estimate::exact(true_ones / all)
                               : probability(true_ones, all, cost_defaults().selectivity, 2,
                                             EstimateSource::kSample);
      held_runs_.emplace(key, std::move(held));
    }
  }

  bool all_runs() const { return static_cast<double>(known_.runs().size()) >= runs_.middle; }

  // The part of a step's calls whose inputs no other call has, where these are parameters: counted
  // on the runs that conditions are known to let through.
  std::optional<Estimate> distinct_runs(std::uint32_t index) const {
    const PhysicalStep& step = plan_.steps[index];
    const std::vector<Value>& runs = known_.runs();
    if (step.mapped || (runs.size() < kFewRuns && !all_runs())) return std::nullopt;
    std::set<std::string_view> params;
    for (const auto& leaf : step.body.leaf_inputs) {
      for (std::uint32_t input : leaf) {
        if (step.inputs[input].source != InputSource::kParam) return std::nullopt;
        params.insert(step.inputs[input].param);
      }
    }
    std::map<std::string, std::uint64_t> seen;
    std::uint64_t count = 0;
    for (std::size_t run = 0; run < runs.size(); ++run) {
      if (!goes_on(index, run)) continue;
      std::string inputs;
      for (std::string_view param : params) {
        const Value* value = runs[run].find(param);
        if (value == nullptr) return std::nullopt;
        const std::string encoded = encode_value(*value);
        inputs += std::to_string(encoded.size()) + ":" + encoded;
      }
      ++seen[std::move(inputs)];
      ++count;
    }
    if (count < kFewRuns && !all_runs()) return std::nullopt;
    const auto alone = static_cast<std::uint64_t>(
        std::ranges::count_if(seen, [](const auto& each) { return each.second == 1; }));
    const double part = all_runs() ? 1 : static_cast<double>(runs.size()) / runs_.middle;
    return distinct_part(count, seen.size(), alone, part);
  }

  bool goes_on(std::uint32_t index, std::size_t run) const {
    const StepConditions& needs = conditions_.steps[index];
    return std::ranges::all_of(held_runs_, [&](const auto& known) {
      const auto& [key, held] = known;
      return held[run] || !(needs.whole.has(key) || needs.task.has(key));
    });
  }

  // The condition evaluated on values that are known before the run.
  std::optional<Estimate> tried(std::uint32_t index) {
    const PhysicalStep& step = plan_.steps[index];
    if (auto value = known_.tree(index, *step.when, std::nullopt)) {
      return Estimate::exact(truthy(*value) ? 1 : 0);
    }
    const Value* items = known_.items(index);
    if (items == nullptr) return std::nullopt;
    double held = 0;
    const std::vector<std::uint32_t> spread = spread_items(items->size(), kTriedItems);
    for (std::uint32_t item : spread) {
      auto value = known_.tree(index, *step.when, item);
      if (!value) return std::nullopt;
      held += truthy(*value) ? 1 : 0;
    }
    if (spread.empty()) return std::nullopt;
    const auto tried = static_cast<double>(spread.size());
    if (spread.size() == items->size()) return Estimate::exact(held / tried);
    return probability(held, tried, cost_defaults().selectivity, 2, EstimateSource::kSample);
  }

  // ---- tasks ----
  Estimate items_of(std::uint32_t index) {
    const PhysicalStep& step = plan_.steps[index];
    if (step.items_edge != kNoIndex) {
      const std::uint32_t from = step.edges[step.items_edge].from;
      if (plan_.steps[from].mapped) return items_[from];
      if (auto given = counted_items(from)) return *given;
      if (auto given = seen_items(from)) return *given;
    }
    if (auto given = counted_items(index)) return *given;
    if (const Value* items = known_.items(index)) {
      return Estimate::exact(static_cast<double>(items->size()));
    }
    if (auto given = seen_items(index)) return *given;
    if (auto passed = from_one_list(step)) return *passed;
    const double items = cost_defaults().items;
    return {items, items / 10, items * 10, EstimateSource::kDefault};
  }

  std::optional<Estimate> counted_items(std::uint32_t index) const {
    const auto found = counted_.find(plan_.steps[index].logical.id);
    if (found == counted_.end()) return std::nullopt;
    return Estimate::exact(found->second);
  }

  std::optional<Estimate> seen_items(std::uint32_t index) {
    const bool mapped = plan_.steps[index].mapped;
    const Hash256& meaning = mapped ? conditions_.steps[index].items : plan_.steps[index].step_hash;
    return observed_.find(meaning).distribution(&StepStatistics::items);
  }

  // A list computed of one mapped step has probably as many items as that has slots with a value,
  // and one computed of a table as many as that has rows.
  std::optional<Estimate> from_one_list(const PhysicalStep& step) const {
    std::uint32_t from = kNoIndex;
    for (const Edge& edge : step.edges) {
      if (edge.use != EdgeUse::kItems) continue;
      if (from != kNoIndex) return std::nullopt;
      from = edge.from;
    }
    if (from == kNoIndex) return std::nullopt;
    if (!plan_.steps[from].mapped) return made_[from].given;
    return filled_slots(from);
  }

  Estimate filled_slots(std::uint32_t from) const {
    double part = 1;
    const StepConditions& needs = conditions_.steps[from];
    needs.task.for_each([&](std::uint32_t key) {
      if (!needs.whole.has(key)) part *= holds_[key]->middle;
    });
    const Estimate& all = items_[from];
    return Estimate{all.middle * part, all.low * part * part, all.high, EstimateSource::kDefault};
  }

  // ---- tables ----
  Estimate given(std::uint32_t index) {
    const PhysicalStep& table = plan_.steps[index];
    for (std::uint32_t i = index + 1; i < plan_.steps.size(); ++i) {
      if (!goes_over(i, table.logical.id)) continue;
      if (auto given = counted_items(i)) return *given;
      if (auto given = seen_items(i)) return *given;
    }
    const Binding* list = table.body.binding.find(kTableFrom);
    const auto source = list != nullptr ? row_source(*list) : std::nullopt;
    const std::uint32_t from = source ? source_of(table, source->step) : kNoIndex;
    const bool map = from != kNoIndex && plan_.steps[from].mapped;
    return table_rows(table, rows_taken(index, from), map ? &plan_.steps[from] : nullptr);
  }

  Estimate rows_taken(std::uint32_t index, std::uint32_t from) {
    const double items = cost_defaults().items;
    const Estimate unknown{items, items / 10, items * 10, EstimateSource::kDefault};
    if (from == kNoIndex || !plan_.steps[from].mapped) {
      const auto inputs = known_.tree(index, plan_.steps[index].body, std::nullopt);
      const Value* rows = inputs ? inputs->find(kTableFrom) : nullptr;
      if (rows != nullptr && rows->is_array()) {
        return Estimate::exact(static_cast<double>(rows->items().size()));
      }
      if (from == kNoIndex) return unknown;
    }
    if (plan_.steps[from].mapped) return filled_slots(from);
    if (made_[from].given) return *made_[from].given;
    if (auto counted = counted_items(from)) return *counted;
    if (auto seen = seen_items(from)) return *seen;
    // Somebody else goes over the same list.
    for (std::uint32_t i = 0; i < index; ++i) {
      if (goes_over(i, plan_.steps[from].logical.id)) return items_[i];
    }
    return unknown;
  }

  bool goes_over(std::uint32_t index, std::string_view id) const {
    const PhysicalStep& step = plan_.steps[index];
    if (!step.mapped || !step.logical.for_each) return false;
    const auto source = row_source(*step.logical.for_each);
    return source && !source->present && source->step == id;
  }

  std::uint32_t source_of(const PhysicalStep& step, std::string_view id) const {
    for (const Edge& edge : step.edges) {
      if (plan_.steps[edge.from].logical.id == id) return edge.from;
    }
    return kNoIndex;
  }

  // ---- failures and calls ----
  void failures(std::uint32_t index) {
    const PhysicalStep& step = plan_.steps[index];
    StepRows& made = made_[index];
    const StepStatistics* seen =
        observed_.find(step.step_hash).best([](const StepStatistics& all) { return all.tasks; });
    const bool calls = calls_something(step.logical.op);
    const double supposed = calls ? cost_defaults().failure : 0;
    if (seen != nullptr) {
      made.failure =
          probability(static_cast<double>(seen->failed), static_cast<double>(seen->tasks), supposed,
                      cost_defaults().prior_tasks, observed_.find(step.step_hash).source(seen));
    } else {
      made.failure = calls ? Estimate::rough(supposed) : Estimate::exact(0);
    }
    // Only what was seen to fail takes rows away from those who read it.
    BitSet& fails = fails_[index];
    for (const Edge& edge : step.edges) {
      const bool list = edge.mode == EdgeMode::kWhole && plan_.steps[edge.from].mapped;
      const bool reads = edge.mode == EdgeMode::kSlot || edge.mode == EdgeMode::kWhole;
      if (!reads || list || edge.join.failed.kind == JoinAction::Kind::kValue) continue;
      fails.add_all(fails_[edge.from]);
    }
    double survive = 1;
    fails.for_each([&](std::uint32_t from) { survive *= 1 - made_[from].failure.middle; });
    made.asked = made.asked.times(survive);
    if (seen != nullptr && seen->failed > 0 && fails_alone(step)) fails.add(index);
  }

  void calls(std::uint32_t index) {
    const PhysicalStep& step = plan_.steps[index];
    StepRows& made = made_[index];
    const Observed::Of& observed = observed_.find(step.step_hash);
    const double rounds =
        step.logical.repeat ? std::clamp<double>(step.logical.repeat->max_rounds, 1, 2) : 1;
    made.distinct = Estimate::exact(1);
    made.calls_per_task = made.calls = Estimate::exact(0);
    if (!calls_something(step.logical.op)) {
      made.rounds = rounds;
      if (step.logical.op == OperatorKind::kPlan) made.calls = made.asked.times(rounds);
      return;
    }
    const StepStatistics* seen =
        observed.best([](const StepStatistics& all) { return all.calls + all.cached; });
    if (seen != nullptr && seen->tasks > 0) {
      const auto all = static_cast<double>(seen->calls + seen->cached);
      const double each = std::max(1.0, all / static_cast<double>(seen->tasks));
      made.calls_per_task = {each, each, each, observed.source(seen)};
      made.distinct = probability(all - static_cast<double>(seen->equal_calls), all, 1, 0,
                                  observed.source(seen));
    } else {
      const double turns = offers_tools(step) ? 2 : 1;
      made.calls_per_task =
          rounds * turns == 1 ? Estimate::exact(1) : Estimate::rough(rounds * turns);
    }
    if (auto given = distinct_runs(index)) made.distinct = *given;
    made.calls = made.asked * made.calls_per_task;
    if (step.advice.share_equal) made.calls = made.calls * made.distinct;
    if (step.logical.cache_ttl_ms && seen != nullptr) {
      const auto all = static_cast<double>(seen->calls + seen->cached);
      const auto kept =
          static_cast<double>(seen->cached - std::min(seen->cached, seen->equal_calls));
      made.calls = made.calls.times(1 - kept / all);
    }
  }

  static bool offers_tools(const PhysicalStep& step) {
    if (step.logical.op != OperatorKind::kLlm) return false;
    const Binding* tools = step.logical.with.find("tools");
    return tools != nullptr && (tools->kind != Binding::Kind::kList || !tools->items.empty());
  }

  // A fallback runs where the step that it stands in for has failed.
  void fallback(std::uint32_t index) {
    const std::uint32_t owner = plan_.steps[index].fallback_of;
    if (owner == kNoIndex) return;
    StepRows& made = made_[index];
    made.rows = made.asked = made_[owner].asked * made_[owner].failure;
    const bool runs_plan = plan_.steps[index].logical.op == OperatorKind::kPlan;
    made.calls = runs_plan ? made.asked.times(made.rounds) : made.asked * made.calls_per_task;
  }

  const PhysicalPlan& plan_;
  const Estimate runs_;
  KnownValues& known_;
  Observed& observed_;
  const CountedItems& counted_;
  PlanConditions conditions_;
  std::vector<std::optional<Estimate>> holds_;            // of each condition
  std::map<std::uint32_t, std::vector<bool>> held_runs_;  // for which runs, where that is known
  std::vector<Estimate> items_;  // tasks of each step in one run of the plan
  std::vector<BitSet> fails_;    // steps without whose failing a task of it goes on
  std::vector<StepRows> made_;
};

}  // namespace

Estimate distinct_part(std::uint64_t drawn, std::uint64_t distinct, std::uint64_t alone,
                       double part) {
  if (drawn == 0) return Estimate::exact(1);
  const auto n = static_cast<double>(drawn);
  const auto d = static_cast<double>(distinct);
  if (part >= 1) return Estimate::exact(d / n);
  const auto f1 = static_cast<double>(alone);
  const double all = n / part;
  // 1 - (1 - q) f1 / n is at least q: a value that was drawn is drawn at least once.
  const double jackknife = d / (1 - (1 - part) * f1 / n);
  const double least = std::sqrt(1 / part) * f1 + (d - f1);
  const double most = d + f1 * (1 / part - 1);
  const auto share = [all](double values) { return std::clamp(values / all, 0.0, 1.0); };
  return {share(jackknife), share(std::min(least, jackknife)), share(std::max(most, jackknife)),
          EstimateSource::kSample};
}

std::vector<StepRows> estimate_rows(const PhysicalPlan& plan, const Estimate& runs,
                                    KnownValues& known, Observed& observed,
                                    const CountedItems& counted) {
  return RowEstimator(plan, runs, known, observed, counted).estimate();
}

}  // namespace sluice
