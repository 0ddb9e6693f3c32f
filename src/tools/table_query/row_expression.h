// Expressions of a table step, ready to be evaluated row after row: what they read of the plan is
// looked up once, the table's own names are given each time. One thread.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/error.h"
#include "data/expr.h"
#include "data/value.h"
#include "plan/binding.h"

namespace sluice {

// The table's own names. Null pointers where the place has no such name.
struct RowNames {
  const Value* row = nullptr;
  const Value* other = nullptr;
  const Value* rows = nullptr;
  const Value* key = nullptr;
  const Value* output = nullptr;
};

class RowExpression {
 public:
  // `args`: what the step read of the plan, by dotted name.
  RowExpression(Expr expr, SourcePos pos, const Value& args);

  // Errors carry the place of the expression.
  Result<Value> evaluate(const RowNames& names, EvalContext& context);

  const Expr& expr() const { return expr_; }
  // By number of an input; null for the table's own names.
  std::span<const Value> inputs() const { return inputs_; }

 private:
  using Name = const Value* RowNames::*;

  Expr expr_;
  SourcePos pos_;
  std::vector<Value> inputs_;
  std::vector<std::pair<std::size_t, Name>> own_;
};

// A value of the plan in which such expressions stand.
class RowTree {
 public:
  // `tree` outlives it.
  RowTree(const Binding& tree, const Value& args);
  Result<Value> evaluate(const RowNames& names, EvalContext& context);

 private:
  Result<Value> evaluate_node(const Binding& node, const RowNames& names, EvalContext& context,
                              std::size_t& leaf);

  const Binding& tree_;
  std::vector<RowExpression> leaves_;  // in the order of Binding::for_each_expr
};

}  // namespace sluice
