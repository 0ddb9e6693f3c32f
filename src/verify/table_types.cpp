#include "verify/table_types.h"

#include <utility>

namespace sluice {
namespace {

Type element_of(const Type& list) {
  return list.can_be(Type::kArray) ? list.element() : Type::any();
}

}  // namespace

TableFacts::TableFacts(const PlanFacts& facts, const Step& step)
    : facts_(facts),
      step_(step),
      query_(*step.table),
      place_(facts.body_place(facts.index_of(step.id))) {
  types_.row = element_of(input(kTableFrom));
  if (query_.match) {
    types_.other = element_of(input(kTableMatch));
    if (query_.match->keep_all) types_.other = join(types_.other, Type::of(Type::kNull));
  }
  Type selected = types_.row;
  if (query_.select) {
    selected = type_of(*query_.select, TablePart::kSelect);
  } else if (query_.match) {
    selected =
        Type::object_of({{"row", types_.row}, {"other", types_.other}}, {"row", "other"}, true);
  }
  types_.output = selected;
  if (!query_.group) return;
  types_.rows = Type::array_of(selected);
  types_.key = type_of(query_.group->by, TablePart::kBy);
  std::map<std::string, Type, std::less<>> properties;
  std::set<std::string, std::less<>> names;
  for (const auto& [name, tree] : query_.group->by.members) {
    properties.emplace(name, type_of(tree, TablePart::kBy));
    names.insert(name);
  }
  for (const auto& [name, tree] : query_.group->give.members) {
    properties.emplace(name, type_of(tree, TablePart::kGive));
    names.insert(name);
  }
  types_.output = Type::object_of(std::move(properties), std::move(names), true);
}

Type TableFacts::input(std::string_view name) const {
  const Binding* input = step_.with.find(name);
  return input ? facts_.type_of(*input, place_, &step_) : Type::any();
}

Type TableFacts::outer(const std::string& dotted) const {
  const Binding* input = step_.with.find(dotted);
  return input ? facts_.type_of(*input, place_, &step_) : Type::any();
}

Expr TableFacts::typed(const Binding& leaf, TablePart part) const {
  if (leaf.broken || leaf.text.empty() || leaf.expr.inputs().empty()) return leaf.expr;
  NameResolver plan = checked_names(step_.for_each.has_value());
  auto of_plan = [&](std::string_view root, std::span<const std::string> path, bool slot) {
    NameClaim claim = plan(root, path, slot);
    ExprInput input;
    input.root = std::string(root);
    input.path.assign(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(claim.path_length));
    input.slot = slot && claim.sliceable;
    claim.type = outer(input.dotted());
    return claim;
  };
  auto compiled =
      Expr::compile(leaf.text, table_resolver(of_plan, part, query_.match.has_value(), types_));
  return compiled ? *std::move(compiled) : leaf.expr;
}

Type TableFacts::type_of(const Binding& tree, TablePart part) const {
  if (tree.broken) return Type::any();
  switch (tree.kind) {
    case Binding::Kind::kExpr: {
      if (auto constant = tree.expr.as_constant()) return Type::of_value(*constant);
      return typed(tree, part).type();
    }
    case Binding::Kind::kList: {
      if (tree.items.empty()) return Type::of_value(Value::array({}));
      Type element = Type::never();
      for (const Binding& item : tree.items) element = join(element, type_of(item, part));
      return Type::array_of(std::move(element));
    }
    case Binding::Kind::kMap: {
      std::map<std::string, Type, std::less<>> properties;
      std::set<std::string, std::less<>> required;
      for (const auto& [key, member] : tree.members) {
        properties.emplace(key, type_of(member, part));
        required.insert(key);
      }
      return Type::object_of(std::move(properties), std::move(required), true);
    }
  }
  return Type::any();
}

}  // namespace sluice
