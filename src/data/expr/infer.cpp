#include "data/expr/infer.h"

#include <algorithm>
#include <optional>
#include <tuple>

#include "data/expr/calls.h"
#include "data/expr/suggest.h"
#include "fmt/format.h"

namespace sluice::expr {
namespace {

class Inference {
 public:
  explicit Inference(ExprProgram& program)
      : program_(program), locals_(program.locals), known_(program.nodes.size()) {}

  // Each node once: arguments are looked at from several sides.
  Type of(NodeId id, bool soft = false) {
    std::optional<Type>& known = known_[id];
    if (!known) known = find(id, soft);
    return *known;
  }

 private:
  Type find(NodeId id, bool soft);
  Type find_template(const Node& node);
  Type all_kids(const Node& node, std::uint16_t kinds);
  Type list(const Node& node);
  Type member(NodeId id, const Node& node, bool soft);
  Type index(NodeId id, const Node& node, bool soft);
  Type slice(NodeId id, const Node& node, bool soft);
  Type arithmetic(NodeId id, const Node& node);
  Type comparison(NodeId id, Comparison op, const Type& left, const Type& right);
  Type chain(NodeId id, const Node& node);
  Type logic(const Node& node);
  Type filter(NodeId id, const Node& node);
  Type filter_result(NodeId id, const Call& call, const Type& subject);
  Type mapped(NodeId id, const Call& call, const Type& element);
  Type loop(const Node& node);
  void check_args(const Call& call, std::string_view name, std::span<const Param> params);
  void check_kinds(NodeId at, const Type& type, std::uint16_t kinds, std::string_view who);
  void report(NodeId at, std::string message) {
    program_.type_errors.push_back(
        {ErrorCode::kTypeMismatch, std::move(message), program_.nodes[at].begin});
  }

  ExprProgram& program_;
  std::vector<Type> locals_;
  std::vector<std::optional<Type>> known_;
};

void Inference::check_kinds(NodeId at, const Type& type, std::uint16_t kinds,
                            std::string_view who) {
  if (type.can_be(kinds) || type.kinds() == 0) return;
  report(at, fmt::format("{} needs {}, not {}", who, kind_words(kinds), kind_words(type.kinds())));
}

Type Inference::all_kids(const Node& node, std::uint16_t kinds) {
  for (NodeId kid : program_.kids_of(node)) of(kid);
  return Type::of(kinds);
}

Type Inference::list(const Node& node) {
  Type element = Type::never();
  for (NodeId kid : program_.kids_of(node)) element = join(element, of(kid));
  return Type::array_of(element);
}

Type Inference::find(NodeId id, bool soft) {
  const Node& node = program_.nodes[id];
  switch (node.op) {
    case Op::kConst:
      return Type::of_value(program_.constants[node.a]);
    case Op::kInput:
      return program_.input_types[node.a];
    case Op::kLocal:
      return locals_[node.a];
    case Op::kLoop: {
      auto field = static_cast<LoopField>(node.flag);
      bool flag = field == LoopField::kFirst || field == LoopField::kLast;
      return Type::of(flag ? Type::kBoolean : Type::kInteger);
    }
    case Op::kList:
      return list(node);
    case Op::kDict:
      return all_kids(node, Type::kObject);
    case Op::kMember:
      return member(id, node, soft);
    case Op::kIndex:
      return index(id, node, soft);
    case Op::kSlice:
      return slice(id, node, soft);
    case Op::kNot:
      of(node.a);
      return Type::of(Type::kBoolean);
    case Op::kNegate:
    case Op::kPlus:
      check_kinds(node.a, of(node.a), Type::kNumber, node.op == Op::kNegate ? "-" : "+");
      return Type::of(Type::kNumber);
    case Op::kArithmetic:
      return arithmetic(id, node);
    case Op::kConcat:
      return all_kids(node, Type::kString);
    case Op::kAnd:
    case Op::kOr:
      return logic(node);
    case Op::kCompare: {
      Type left = of(node.a);
      return comparison(id, static_cast<Comparison>(node.flag), left, of(node.b));
    }
    case Op::kChain:
      return chain(id, node);
    case Op::kTest: {
      const Call& call = program_.calls[node.b];
      check_kinds(node.a, of(node.a, call.test->soft), call.test->accepts, call.test->name);
      check_args(call, call.test->name, call.test->params);
      return Type::of(Type::kBoolean);
    }
    case Op::kFilter:
      return filter(id, node);
    case Op::kConditional: {
      of(node.a);
      Type then = of(node.b, soft);
      return node.c == kNone ? then : join(then, of(node.c, soft));
    }
    default:
      return find_template(node);
  }
}

Type Inference::find_template(const Node& node) {
  switch (node.op) {
    case Op::kOutput:
      of(node.a);
      break;
    case Op::kSequence:
      all_kids(node, Type::kString);
      break;
    case Op::kIf:
      all_kids(node, Type::kString);
      if (node.c != kNone) of(node.c);
      break;
    case Op::kFor:
      return loop(node);
    default:
      break;
  }
  return Type::of(Type::kString);
}

Type Inference::member(NodeId id, const Node& node, bool soft) {
  Type base = of(node.a, soft);
  const std::string& name = program_.names[node.b];
  if (base.kinds() == 0) return Type::any();
  if (!base.can_be(Type::kObject)) {
    if (!soft) report(id, fmt::format("{} has no member {}", kind_words(base.kinds()), name));
    return Type::any();
  }
  if (auto property = base.property(name)) return *property;
  if (!soft) {
    auto known = base.property_names();
    std::string close = suggest(name, known);
    report(id, close.empty()
                   ? fmt::format("no member {}; there are: {}", name, fmt::join(known, ", "))
                   : fmt::format("no member {}; did you mean {}?", name, close));
  }
  return Type::any();
}

Type Inference::index(NodeId id, const Node& node, bool soft) {
  Type base = of(node.a, soft);
  Type key = of(node.b);
  constexpr std::uint16_t kListed = Type::kArray | Type::kString | Type::kVector;
  if (base.kinds() == 0) return Type::any();
  if (!soft) check_kinds(id, base, kListed | Type::kObject, "[ ]");
  if (key.can_be(Type::kString) || !key.can_be(Type::kInteger)) {
    if (!soft && !key.can_be(Type::kString | Type::kInteger)) {
      check_kinds(node.b, key, Type::kString | Type::kInteger, "[ ]");
    }
    return Type::any();
  }
  if (!soft && !base.can_be(kListed)) {
    report(id, fmt::format("{} cannot be indexed with an integer", kind_words(base.kinds())));
    return Type::any();
  }
  Type found = Type::never();
  if (base.can_be(Type::kArray)) found = join(found, base.element());
  if (base.can_be(Type::kString)) found = join(found, Type::of(Type::kString));
  if (base.can_be(Type::kVector)) found = join(found, Type::of(Type::kFraction));
  return found.kinds() == 0 ? Type::any() : found;
}

Type Inference::slice(NodeId id, const Node& node, bool soft) {
  Type base = of(node.a, soft);
  for (std::uint32_t i = 0; i < 3; ++i) {
    NodeId part = program_.kids[node.b + i];
    if (part != kNone) check_kinds(part, of(part), Type::kInteger | Type::kNull, "a slice");
  }
  check_kinds(id, base, Type::kArray | Type::kString, "a slice");
  if (!base.can_be(Type::kArray)) return Type::of(Type::kString);
  Type items = Type::array_of(base.element());
  return base.can_be(Type::kString) ? join(items, Type::of(Type::kString)) : items;
}

Type Inference::arithmetic(NodeId id, const Node& node) {
  Type left = of(node.a);
  Type right = of(node.b);
  auto op = static_cast<Arithmetic>(node.flag);
  if (left.kinds() == 0 || right.kinds() == 0) return Type::any();
  std::uint16_t result = 0;
  if (left.can_be(Type::kNumber) && right.can_be(Type::kNumber)) result |= Type::kNumber;
  std::uint16_t same = left.kinds() & right.kinds() & (Type::kString | Type::kArray);
  if (op == Arithmetic::kAdd) result |= same;
  if (op == Arithmetic::kMultiply) {
    constexpr std::uint16_t kRepeated = Type::kString | Type::kArray;
    if (right.can_be(Type::kInteger)) result |= left.kinds() & kRepeated;
    if (left.can_be(Type::kInteger)) result |= right.kinds() & kRepeated;
  }
  if (result == 0) {
    static constexpr std::string_view kSymbols[] = {"+", "-", "*", "/", "//", "%", "**"};
    report(id, fmt::format("{} cannot stand between {} and {}{}", kSymbols[node.flag],
                           kind_words(left.kinds()), kind_words(right.kinds()),
                           op == Arithmetic::kAdd ? "; ~ joins text" : ""));
    return Type::any();
  }
  bool whole = op != Arithmetic::kDivide && op != Arithmetic::kPower &&
               !left.can_be(Type::kFraction) && !right.can_be(Type::kFraction);
  if (whole) result = static_cast<std::uint16_t>(result & ~Type::kFraction);
  return Type::of(result);
}

Type Inference::comparison(NodeId id, Comparison op, const Type& left, const Type& right) {
  Type result = Type::of(Type::kBoolean);
  if (left.kinds() == 0 || right.kinds() == 0) return result;
  if (op == Comparison::kIn || op == Comparison::kNotIn) {
    check_kinds(id, right, Type::kArray | Type::kObject | Type::kString, "in");
    return result;
  }
  if (op == Comparison::kEq || op == Comparison::kNe) return result;
  constexpr std::uint16_t kOrdered[] = {Type::kNumber, Type::kString, Type::kBoolean, Type::kArray};
  for (std::uint16_t kinds : kOrdered) {
    if (left.can_be(kinds) && right.can_be(kinds)) return result;
  }
  report(id, fmt::format("{} and {} have no order", kind_words(left.kinds()),
                         kind_words(right.kinds())));
  return result;
}

Type Inference::chain(NodeId id, const Node& node) {
  auto kids = program_.kids_of(node);
  Type left = of(kids[0]);
  for (std::size_t i = 1; i < kids.size(); i += 2) {
    Type right = of(kids[i + 1]);
    comparison(id, static_cast<Comparison>(kids[i]), left, right);
    left = std::move(right);
  }
  return Type::of(Type::kBoolean);
}

Type Inference::logic(const Node& node) {
  Type result = Type::never();
  for (NodeId kid : program_.kids_of(node)) result = join(result, of(kid));
  return result;
}

void Inference::check_args(const Call& call, std::string_view name, std::span<const Param> params) {
  for (std::size_t i = 0; i < kMaxParams; ++i) {
    if (call.args[i] == kNone) continue;
    auto kinds =
        static_cast<std::uint16_t>(params[i].kinds | (params[i].required ? 0 : Type::kNull));
    check_kinds(call.args[i], of(call.args[i]), kinds,
                fmt::format("{} of {}", params[i].name, name));
  }
}

Type Inference::filter(NodeId id, const Node& node) {
  const Call& call = program_.calls[node.b];
  Type subject = of(node.a, call.filter->soft);
  check_kinds(id, subject, call.filter->accepts, call.filter->name);
  check_args(call, call.filter->name, call.filter->params);
  if (call.inner != kNoCall) {
    const Call& inner = program_.calls[call.inner];
    if (inner.filter != nullptr)
      check_args(inner, inner.filter->name, inner.filter->params);
    else
      check_args(inner, inner.test->name, inner.test->params);
  }
  return filter_result(id, call, subject);
}

Type Inference::filter_result(NodeId id, const Call& call, const Type& subject) {
  const FilterSpec& spec = *call.filter;
  Type element = subject.can_be(Type::kArray) ? subject.element() : Type::any();
  bool only_array = (subject.kinds() & ~Type::kArray) == 0;
  switch (spec.rule) {
    case ResultRule::kKinds:
      break;
    case ResultRule::kSubject:
      if ((subject.kinds() & ~spec.accepts) == 0) return subject;
      if (spec.accepts == Type::kArray) return Type::array_of(element);
      break;
    case ResultRule::kElement:
      return only_array && element.kinds() != 0 ? element : Type::any();
    case ResultRule::kArrayOfElement:
      return Type::array_of(only_array ? element : Type::any());
    case ResultRule::kJoinDefault: {
      Type otherwise = call.args[0] == kNone ? Type::of(Type::kString) : of(call.args[0]);
      return join(subject, otherwise);
    }
    case ResultRule::kMapped:
      return mapped(id, call, element);
  }
  if (spec.otherwise_param < 0) return Type::of(spec.result);
  NodeId otherwise = call.args[static_cast<std::size_t>(spec.otherwise_param)];
  return otherwise == kNone ? Type::of(spec.result) : join(Type::of(spec.result), of(otherwise));
}

Type Inference::mapped(NodeId id, const Call& call, const Type& element) {
  if (call.inner != kNoCall) {
    const Call& inner = program_.calls[call.inner];
    if (element.kinds() != 0 && !element.can_be(inner.filter->accepts)) {
      report(id, fmt::format("{} needs {}, not {}", inner.filter->name,
                             kind_words(inner.filter->accepts), kind_words(element.kinds())));
    }
    return Type::array_of(filter_result(id, inner, element));
  }
  const Value* path = call.args[0] != kNone && program_.nodes[call.args[0]].op == Op::kConst
                          ? &program_.constants[program_.nodes[call.args[0]].a]
                          : nullptr;
  if (path == nullptr || !path->is_string() ||
      path->as_string().find('.') != std::string_view::npos || !element.can_be(Type::kObject)) {
    return Type::of(Type::kArray);
  }
  auto property = element.property(path->as_string());
  if (!property && call.args[1] == kNone) {
    auto known = element.property_names();
    std::string close = suggest(path->as_string(), known);
    report(call.args[0], fmt::format("no member {}{}", path->as_string(),
                                     close.empty() ? "" : "; did you mean " + close + "?"));
  }
  if (!property || call.args[1] != kNone) return Type::of(Type::kArray);
  return Type::array_of(*property);
}

Type Inference::loop(const Node& node) {
  const Loop& loop = program_.loops[node.a];
  Type iterable = of(loop.iterable);
  check_kinds(loop.iterable, iterable, Type::kArray | Type::kObject, "for");
  Type element = Type::any();
  if ((iterable.kinds() & ~Type::kArray) == 0 && iterable.element().kinds() != 0) {
    element = iterable.element();
  }
  if (loop.targets == 1) locals_[loop.first_local] = element;
  of(loop.body);
  if (loop.otherwise != kNone) of(loop.otherwise);
  return Type::of(Type::kString);
}

}  // namespace

void infer(ExprProgram& program) {
  Inference inference(program);
  program.type = inference.of(program.root);
  if (program.is_template) program.type = Type::of(Type::kString);
  auto& errors = program.type_errors;
  std::ranges::sort(errors, {}, [](const ExprError& e) { return std::tie(e.offset, e.message); });
  auto same = [](const ExprError& a, const ExprError& b) {
    return a.offset == b.offset && a.message == b.message;
  };
  errors.erase(std::unique(errors.begin(), errors.end(), same), errors.end());
}

}  // namespace sluice::expr
