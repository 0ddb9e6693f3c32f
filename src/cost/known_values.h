// Values that are known before a plan runs: its parameters where they are bound, constants, and
// what steps without calls make of these. So lists that are given have an exact length, and
// prompts over them an exact text. One thread; lives as long as one estimate is made.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "data/expr.h"
#include "plan/physical.h"

namespace sluice {

class KnownValues {
 public:
  static constexpr std::size_t kMostItems = 2'000;  // of a list that is computed with
  static constexpr std::uint32_t kMostEvaluations = 5'000;

  // Both outlive it; `params` may be null, or have only some of them.
  KnownValues(const PhysicalPlan& plan, const Value* params);

  // What a step with for_each goes over; null: not known.
  const Value* items(std::uint32_t step) const;
  // One leaf of a step's tree, the `leaf`-th in the order of Binding::for_each_expr; of the task
  // `item` where that is given.
  std::optional<Value> leaf(std::uint32_t step, const BoundTree& tree, std::size_t leaf,
                            const Expr& expr, std::optional<std::uint32_t> item);
  std::optional<Value> tree(std::uint32_t step, const BoundTree& tree,
                            std::optional<std::uint32_t> item);
  // What is known of the parameters of the plan that the step runs: the same for all its tasks.
  Value sub_params(std::uint32_t step);

 private:
  std::optional<Value> node(std::uint32_t step, const BoundTree& tree, const Binding& node,
                            std::size_t& leaf, std::optional<std::uint32_t> item);
  std::optional<Value> input(std::uint32_t step, const StepInput& input,
                             std::optional<std::uint32_t> item) const;

  const PhysicalPlan& plan_;
  const Value* params_;
  std::vector<std::optional<Value>> items_;
  std::vector<std::optional<Value>> outputs_;
  std::uint32_t evaluations_ = 0;
  EvalContext context_;
};

// Evenly spread over `count` items, at most `most` of them.
std::vector<std::uint32_t> spread_items(std::size_t count, std::size_t most);

}  // namespace sluice
