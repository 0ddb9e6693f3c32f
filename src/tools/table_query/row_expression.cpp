#include "tools/table_query/row_expression.h"

#include <array>
#include <string_view>

namespace sluice {
namespace {

const Value* RowNames::* name_of(std::string_view root) {
  struct Row {
    std::string_view name;
    const Value* RowNames::* member;
  };
  static constexpr std::array<Row, 5> kRows = {{{"row", &RowNames::row},
                                                {"other", &RowNames::other},
                                                {"rows", &RowNames::rows},
                                                {"key", &RowNames::key},
                                                {"output", &RowNames::output}}};
  for (const Row& row : kRows) {
    if (row.name == root) return row.member;
  }
  return nullptr;
}

}  // namespace

RowExpression::RowExpression(Expr expr, SourcePos pos, const Value& args)
    : expr_(std::move(expr)), pos_(pos) {
  std::span<const ExprInput> inputs = expr_.inputs();
  inputs_.resize(inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (Name own = name_of(inputs[i].root)) {
      own_.emplace_back(i, own);
    } else if (const Value* given = args.find(inputs[i].dotted())) {
      inputs_[i] = *given;
    }
  }
}

Result<Value> RowExpression::evaluate(const RowNames& names, EvalContext& context) {
  for (auto [input, name] : own_) {
    const Value* value = names.*name;
    inputs_[input] = value ? *value : Value();
  }
  Result<Value> value = expr_.evaluate(inputs_, context);
  if (value || value.error().pos().known()) return value;
  return std::unexpected(value.error().with_pos(pos_));
}

RowTree::RowTree(const Binding& tree, const Value& args) : tree_(tree) {
  tree.for_each_expr([&](const Binding& leaf) { leaves_.emplace_back(leaf.expr, leaf.pos, args); });
}

Result<Value> RowTree::evaluate(const RowNames& names, EvalContext& context) {
  std::size_t leaf = 0;
  return evaluate_node(tree_, names, context, leaf);
}

Result<Value> RowTree::evaluate_node(const Binding& node, const RowNames& names,
                                     EvalContext& context, std::size_t& leaf) {
  if (node.kind == Binding::Kind::kExpr) return leaves_[leaf++].evaluate(names, context);
  if (node.kind == Binding::Kind::kList) {
    std::vector<Value> items;
    items.reserve(node.items.size());
    for (const Binding& item : node.items) {
      Result<Value> value = evaluate_node(item, names, context, leaf);
      if (!value) return value;
      items.push_back(*std::move(value));
    }
    return Value::array(std::move(items));
  }
  std::vector<Value::Member> members;
  members.reserve(node.members.size());
  for (const auto& [key, member] : node.members) {
    Result<Value> value = evaluate_node(member, names, context, leaf);
    if (!value) return value;
    members.emplace_back(key, *std::move(value));
  }
  return Value::object(std::move(members));
}

}  // namespace sluice
