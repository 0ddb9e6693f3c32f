// The types of what steps give, from output schemas, tools' schemas and expressions.
#include <algorithm>

#include "verify/facts.h"
#include "verify/table_types.h"

namespace sluice {
namespace {

// A type is a tree: values that hold the same value many times over would let it grow without end.
constexpr std::size_t kMaxTypeSize = 5000;

Type null_type() { return Type::of(Type::kNull); }

const Binding* missing_value(const JoinAction& action) {
  return action.kind == JoinAction::Kind::kValue ? &action.value : nullptr;
}

}  // namespace

Place PlanFacts::body_place(std::uint32_t step) const {
  return steps[step].fallback_of != kNoIndex ? Place::kFallback : Place::kTask;
}

const NameResolver& PlanFacts::base_resolver(Place place, ScopeFlags flags) const {
  NameResolver& found = resolvers_[{place, (flags.mapped ? 1 : 0) + (flags.repeated ? 2 : 0)}];
  if (!found) found = make_resolver(names_, place, flags);
  return found;
}

Type PlanFacts::item_type(const Step& step) const {
  std::vector<Reference> reads = references_of(*step.for_each, EdgeUse::kItems);
  if (reads.size() == 1 && step.for_each->kind == Binding::Kind::kExpr &&
      step.for_each->expr.as_input()) {
    std::uint32_t from = index_of(reads[0].step);
    if (from != kNoIndex && steps[from].slots) {
      const JoinRule* join = step.find_join(reads[0].step);
      bool replaced = join && (missing_value(join->skipped) || missing_value(join->failed));
      return replaced ? Type::any() : steps[from].slot;
    }
  }
  Type items = type_of(*step.for_each, Place::kForEach, &step);
  return items.can_be(Type::kArray) ? items.element() : Type::any();
}

Type PlanFacts::input_type(const ExprInput& input, const Step* reader) const {
  if (input.root == "item" && reader && reader->for_each) return item_type(*reader);
  if (input.root == "output" && reader) {
    std::uint32_t self = index_of(reader->id);
    return self == kNoIndex ? Type::any() : steps[self].call;
  }
  if (input.root != "steps" || input.path.size() < 2 || input.path[1] != "output") {
    return Type::any();
  }
  std::uint32_t from = index_of(input.path[0]);
  if (from == kNoIndex) return Type::any();
  Type type = input.slot && steps[from].slots ? steps[from].slot : steps[from].whole;
  if (!reader) return join(type, null_type());  // a result reads what was skipped as null
  if (input.slot && !steps[from].slots) type = type.element();
  const JoinRule* rule = reader->find_join(input.path[0]);
  if (!rule) return type;
  bool filled = missing_value(rule->skipped) || missing_value(rule->failed);
  if (filled && steps[from].slots && !input.slot) return Type::any();  // holes may be filled
  for (const Binding* value : {missing_value(rule->skipped), missing_value(rule->failed)}) {
    if (!value) continue;
    auto constant = value->as_constant();
    type = join(type, constant ? Type::of_value(*constant) : Type::any());
  }
  return type;
}

const Expr& PlanFacts::typed(const Binding& leaf, Place place, const Step* reader) const {
  if (leaf.broken || leaf.text.empty() || leaf.expr.inputs().empty()) return leaf.expr;
  const TypedLeaf wanted{&leaf, place};
  if (auto found = typed_.find(wanted); found != typed_.end()) return found->second;
  return typed_.emplace(wanted, compile_typed(leaf, place, reader)).first->second;
}

Expr PlanFacts::compile_typed(const Binding& leaf, Place place, const Step* reader) const {
  ScopeFlags flags;
  if (reader) {
    std::uint32_t self = index_of(reader->id);
    std::uint32_t stands_for = self == kNoIndex ? kNoIndex : steps[self].fallback_of;
    flags.mapped = reader->for_each || (stands_for != kNoIndex && plan.steps[stands_for].for_each);
    flags.repeated = reader->repeat.has_value();
  }
  const NameResolver& base = base_resolver(place, flags);
  auto resolver = [&](std::string_view root, std::span<const std::string> path, bool slot) {
    NameClaim claim = base(root, path, slot);
    if (claim.error) return claim;
    ExprInput input;
    input.root = std::string(root);
    input.path.assign(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(claim.path_length));
    input.slot = slot;
    if (claim.type.is_any()) claim.type = input_type(input, reader);
    return claim;
  };
  auto compiled = Expr::compile(leaf.text, resolver);
  return compiled ? *std::move(compiled) : leaf.expr;
}

Type PlanFacts::type_of(const Binding& binding, Place place, const Step* reader) const {
  if (binding.broken) return Type::any();
  switch (binding.kind) {
    case Binding::Kind::kExpr: {
      if (auto constant = binding.expr.as_constant()) return Type::of_value(*constant);
      return typed(binding, place, reader).type();
    }
    case Binding::Kind::kList: {
      if (binding.items.empty()) return Type::of_value(Value::array({}));
      Type element = Type::never();
      for (const Binding& item : binding.items) {
        element = join(element, type_of(item, place, reader));
      }
      return Type::array_of(std::move(element));
    }
    case Binding::Kind::kMap: {
      std::map<std::string, Type, std::less<>> properties;
      std::set<std::string, std::less<>> required;
      for (const auto& [key, member] : binding.members) {
        properties.emplace(key, type_of(member, place, reader));
        required.insert(key);
      }
      return Type::object_of(std::move(properties), std::move(required), true);
    }
  }
  return Type::any();
}

Type PlanFacts::call_type(const Step& step) const {
  if (step.output) return step.output->type();
  switch (step.op) {
    case OperatorKind::kLlm:
      return Type::of(Type::kString);
    case OperatorKind::kValue:
      return type_of(step.value, body_place(index_of(step.id)), &step);
    case OperatorKind::kTool: {
      const FunctionSpec* spec = function_of(step);
      if (!spec || !spec->output) return Type::any();
      // A call that emits items but is made once for each item gives them as a list.
      bool listed = spec->streams && !step_streams(step, tools);
      return listed ? Type::array_of(spec->output->type()) : spec->output->type();
    }
    case OperatorKind::kWait: {
      if (step.wait.broken || step.wait.find("signal")) break;  // whatever somebody sends
      const Binding* value = step.wait.find("value");
      return value ? type_of(*value, body_place(index_of(step.id)), &step) : null_type();
    }
    case OperatorKind::kTable:
      if (step.table && !step.table->broken) return TableFacts(*this, step).output();
      break;
    case OperatorKind::kCode:
    case OperatorKind::kPlan:
      break;
  }
  return Type::any();
}

// Sets the size of the type of a step that gives a value of the plan; false for one that is too
// large, which is given up.
bool PlanFacts::bound_type(std::uint32_t step) {
  StepFacts& facts = steps[step];
  for (const Reference& read : facts.reads) {
    facts.type_size += steps[index_of(read.step)].type_size;
  }
  body_of(plan.steps[step]).for_each_expr([&](const Binding&) { ++facts.type_size; });
  if (plan.steps[step].table) {
    for_each_part(*plan.steps[step].table, [&](const Binding& tree, TablePart) {
      tree.for_each_expr([&](const Binding&) { ++facts.type_size; });
    });
  }
  OperatorKind op = plan.steps[step].op;
  bool computed =
      op == OperatorKind::kValue || op == OperatorKind::kWait || op == OperatorKind::kTable;
  if (computed && facts.type_size <= kMaxTypeSize) return true;
  facts.type_size = 1;
  return !computed;
}

void PlanFacts::find_types() {
  // Steps in a cycle keep `any`.
  for (std::uint32_t i : order) {
    const Step& step = plan.steps[i];
    StepFacts& facts = steps[i];
    facts.call = bound_type(i) ? call_type(step) : Type::any();
    facts.slot = facts.call;
    if (step.on_error && step.on_error->kind == OnErrorRule::Kind::kValue) {
      facts.slot = join(facts.slot, type_of(step.on_error->value, body_place(i), &step));
    }
    if (step.on_error && step.on_error->kind == OnErrorRule::Kind::kStep) {
      std::uint32_t fallback = index_of(step.on_error->step);
      facts.slot = fallback == kNoIndex ? Type::any() : join(facts.slot, steps[fallback].slot);
    }
    if (!facts.slots) {
      facts.whole = facts.slot;
      continue;
    }
    bool holes = !facts.skips_slot.empty();
    facts.whole = Type::array_of(holes ? join(facts.slot, null_type()) : facts.slot);
  }
}

}  // namespace sluice
