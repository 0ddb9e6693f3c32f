// Values that are known before a plan runs: its parameters where they are bound, constants, and
// what steps without calls make of these. So lists that are given have an exact length, and
// prompts over them an exact text. One thread; lives as long as one estimate is made.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/expr.h"
#include "plan/physical.h"

namespace sluice {

class KnownValues {
 public:
  static constexpr std::size_t kMostItems = 2'000;  // of a list that is computed with
  static constexpr std::uint32_t kMostEvaluations = 8'000;
  static constexpr std::size_t kMostRuns = 1'000;  // whose parameters are worked out

  using Drawn = std::map<std::string, std::vector<Value>, std::less<>>;  // as CostInputs has it

  // All outlive it; `params` may be null, or have only some of them; `drawn` may be null.
  KnownValues(const PhysicalPlan& plan, const Value* params, const Drawn* drawn = nullptr);

  // What a step with for_each goes over; null: not known.
  const Value* items(std::uint32_t step) const;
  // The same, or what was drawn of it; empty: nothing is known.
  std::span<const Value> some_items(std::uint32_t step) const;
  // One leaf of a step's tree, the `leaf`-th in the order of Binding::for_each_expr; of the task
  // `item` where that is given.
  std::optional<Value> leaf(std::uint32_t step, const BoundTree& tree, std::size_t leaf,
                            const Expr& expr, std::optional<std::uint32_t> item);
  std::optional<Value> tree(std::uint32_t step, const BoundTree& tree,
                            std::optional<std::uint32_t> item);
  // One member of what the step gives to its tool, plan or wait: of tasks spread evenly over all of
  // them, one where it is the same for all. Empty: not known of each of them, or there is none.
  std::vector<Value> member(std::uint32_t step, std::string_view key, std::size_t most);
  // What is known of the parameters of the plan that the step runs: the same for all its tasks, or
  // of one of them.
  Value sub_params(std::uint32_t step, std::optional<std::uint32_t> item = std::nullopt);

  // The parameters of some runs of this plan, in place of those that all runs have.
  void use_runs(std::vector<Value> params) { runs_ = std::move(params); }
  const std::vector<Value>& runs() const { return runs_; }
  std::optional<Value> leaf_of_run(std::uint32_t step, const BoundTree& tree, std::size_t leaf,
                                   const Expr& expr, std::size_t run);
  // An expression that reads nothing but parameters; nullopt: it reads others, or none that is
  // known, or fails.
  std::optional<Value> of_run(const Expr& expr, std::size_t run);
  // And of the plan that the step runs: at most kMostRuns, spread evenly.
  std::vector<Value> sub_runs(std::uint32_t step);

 private:
  std::optional<Value> node(std::uint32_t step, const BoundTree& tree, const Binding& node,
                            std::size_t& leaf, std::optional<std::uint32_t> item);
  std::optional<Value> input(std::uint32_t step, const StepInput& input,
                             std::optional<std::uint32_t> item) const;
  std::vector<Value::Member> members(std::uint32_t step, std::optional<std::uint32_t> item,
                                     std::string_view only = "");

  const PhysicalPlan& plan_;
  const Value* params_;
  const Drawn* drawn_;
  std::vector<Value> runs_;
  std::vector<std::optional<Value>> items_;
  std::vector<std::optional<Value>> outputs_;
  std::uint32_t evaluations_ = 0;
  EvalContext context_;
};

// Evenly spread over `count` items, at most `most` of them.
std::vector<std::uint32_t> spread_items(std::size_t count, std::size_t most);

}  // namespace sluice
