#include "tools/table_query/sql_condition.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <string_view>
#include <utility>

#include "data/expr/calls.h"
#include "data/expr/parts.h"
#include "tools/table_query/sql_kind.h"

namespace sluice {
namespace {

using expr::Comparison;
using expr::kNone;
using expr::Node;
using expr::NodeId;
using expr::Op;

constexpr std::uint16_t kNumbers = Type::kInteger | Type::kFraction;
constexpr std::size_t kMostNodes = 400;
constexpr std::size_t kMostColumns = 100;
constexpr std::size_t kMostMembers = 100;  // of the list behind `in`
// What `trim` takes away of text that is ASCII.
constexpr std::string_view kSpaces = " \t\n\v\f\r\x1c\x1d\x1e\x1f";

struct Sql {
  std::string text;
  SqlKind kind;
};
using Maybe = std::optional<Sql>;

// Labels that a value has as part of `row`; `found` is the value.
const Value* walk(const Value& row, std::span<const std::string> path, Labels& labels) {
  const Value* at = &row;
  for (const std::string& name : path) {
    Labels own = at->labels();
    if (at->secret_only_inside()) own.secret = false;
    labels = labels | own;
    at = at->find(name);
    if (at == nullptr) return nullptr;
  }
  labels = labels | at->labels();
  return at;
}

class Compiler {
 public:
  Compiler(const Expr& condition, std::span<const Value> inputs, const ConditionRows& rows)
      : condition_(condition),
        program_(expr::program_of(condition)),
        inputs_(inputs),
        rows_(rows),
        varies_(program_.nodes.size()) {}

  std::optional<SqlCondition> compile() {
    if (condition_.is_template() || program_.nodes.size() > kMostNodes) return std::nullopt;
    find_varying();
    std::vector<NodeId> operands = expr::and_operands(program_, program_.root);
    std::size_t said = 0;
    for (; said < operands.size(); ++said) {
      Maybe operand = boolean(operands[said]);
      if (!operand) break;
      if (said > 0) made_.text += " AND ";
      made_.text += operand->text;
    }
    if (said == 0 || !varies_[program_.root]) return std::nullopt;
    made_.whole = said == operands.size();
    return std::move(made_);
  }

 private:
  // Which nodes depend on the row: children stand before their parents.
  void find_varying() {
    expr::for_each_node(program_, program_.root, [&](NodeId id) {
      std::vector<bool> read = expr::inputs_read(program_, id);
      for (std::size_t i = 0; i < read.size(); ++i) {
        const std::string& root = program_.inputs[i].root;
        if (read[i] && (root == "row" || root == "other")) varies_[id] = true;
      }
    });
  }

  Maybe boolean(NodeId id) {
    Maybe made = node(id);
    return made && made->kind.kinds == Type::kBoolean ? made : std::nullopt;
  }

  Maybe node(NodeId id) {
    const Node& at = program_.nodes[id];
    if (!varies_[id]) {
      std::optional<Value> value = fixed(id);
      return value ? parameter(*value) : std::nullopt;
    }
    switch (at.op) {
      case Op::kMember:
      case Op::kIndex:
        return column(id);
      case Op::kNot: {
        Maybe operand = boolean(at.a);
        if (operand) operand->text = fmt::format("(NOT {})", operand->text);
        return operand;
      }
      case Op::kAnd:
      case Op::kOr:
        return logic(at);
      case Op::kCompare:
        return comparison(at.a, static_cast<Comparison>(at.flag), at.b);
      case Op::kChain:
        return chain(at);
      case Op::kTest:
        return test(at);
      case Op::kFilter:
        return filter(at);
      case Op::kConditional:
        return conditional(at);
      case Op::kArithmetic:
        return arithmetic(at);
      case Op::kNegate:
        return negative(at.a);
      default:
        return std::nullopt;
    }
  }

  // What it comes to, the same for every row; nullopt when it fails.
  std::optional<Value> fixed(NodeId id) {
    Result<Value> value = expr::part_of(condition_, id).evaluate(inputs_, context_);
    if (!value || value->labels().secret || value->labels().tenant != 0) return std::nullopt;
    made_.labels = made_.labels | value->labels();
    return *std::move(value);
  }

  Maybe parameter(const Value& value) {
    Sql made;
    if (!made.kind.add(value)) return std::nullopt;
    made_.parameters.push_back(value);
    made.text = fmt::format("?{}", made_.parameters.size());
    return made;
  }

  // The members between the row and a node, or nullopt when it is something else.
  bool path_of(NodeId id, SqlColumn& into) {
    const Node& at = program_.nodes[id];
    if (at.op == Op::kInput) {
      const ExprInput& input = program_.inputs[at.a];
      into.other = input.root == "other";
      return input.root == "row" || input.root == "other";
    }
    if (at.op != Op::kMember && at.op != Op::kIndex) return false;
    if (!path_of(at.a, into)) return false;
    if (at.op == Op::kMember) {
      into.path.push_back(program_.names[at.b]);
      return true;
    }
    std::optional<Value> name = varies_[at.b] ? std::nullopt : fixed(at.b);
    if (!name || !name->is_string()) return false;
    into.path.emplace_back(name->as_string());
    return true;
  }

  // A column that every row has, with values of kinds that SQL knows.
  Maybe column(NodeId id) {
    SqlColumn wanted;
    if (!path_of(id, wanted) || wanted.path.empty()) return std::nullopt;
    if (wanted.other && rows_.keep_all) return std::nullopt;
    auto [known, fresh] = columns_.try_emplace({wanted.other, wanted.path});
    if (fresh) known->second = look_at(wanted);
    return known->second;
  }

  Maybe look_at(const SqlColumn& wanted) {
    if (made_.columns.size() >= kMostColumns) return std::nullopt;
    Sql made;
    Labels labels;
    for (const Value& row : wanted.other ? rows_.others : rows_.rows) {
      const Value* value = walk(row, wanted.path, labels);
      if (value == nullptr || labels.secret || labels.tenant != 0 || !made.kind.add(*value)) {
        return std::nullopt;
      }
    }
    if (!made.kind.one_group()) return std::nullopt;
    made_.labels = made_.labels | labels;
    made.text = fmt::format("{}.c{}", wanted.other ? "o" : "r", made_.columns.size());
    made_.columns.push_back(wanted);
    return made;
  }

  Maybe logic(const Node& at) {
    Sql made{"", SqlKind::boolean()};
    for (NodeId kid : program_.kids_of(at)) {
      Maybe operand = boolean(kid);
      if (!operand) return std::nullopt;
      if (!made.text.empty()) made.text += at.op == Op::kAnd ? " AND " : " OR ";
      made.text += operand->text;
    }
    made.text = fmt::format("({})", made.text);
    return made;
  }

  Maybe comparison(NodeId left, Comparison op, NodeId right) {
    if (op == Comparison::kIn || op == Comparison::kNotIn) return membership(left, op, right);
    Maybe a = node(left);
    Maybe b = a ? node(right) : std::nullopt;
    if (!b) return std::nullopt;
    static constexpr std::array<std::string_view, 6> kSymbols = {"IS", "IS NOT", "<",
                                                                 "<=", ">",      ">="};
    bool equality = op == Comparison::kEq || op == Comparison::kNe;
    bool same = equality ? same_equality(a->kind, b->kind) : same_order(a->kind, b->kind);
    if (!same) return std::nullopt;
    return Sql{fmt::format("({} {} {})", a->text, kSymbols[static_cast<std::size_t>(op)], b->text),
               SqlKind::boolean()};
  }

  Maybe membership(NodeId left, Comparison op, NodeId right) {
    std::optional<Value> list = varies_[right] ? std::nullopt : fixed(right);
    Maybe item = node(left);
    if (!item) return std::nullopt;
    std::string_view turn = op == Comparison::kNotIn ? "NOT " : "";
    if (!list || list->is_string()) {
      Maybe text = node(right);
      bool texts = text && item->kind.kinds == Type::kString && text->kind.kinds == Type::kString;
      if (!texts) return std::nullopt;
      return Sql{fmt::format("({}(instr({}, {}) > 0))", turn, text->text, item->text),
                 SqlKind::boolean()};
    }
    if (!list->is_array() || list->items().size() > kMostMembers) return std::nullopt;
    std::string any;
    for (const Value& member : list->items()) {
      Maybe one = parameter(member);
      if (!one || !same_equality(item->kind, one->kind)) return std::nullopt;
      any += fmt::format("{}{} IS {}", any.empty() ? "" : " OR ", item->text, one->text);
    }
    return Sql{fmt::format("({}({}))", turn, any.empty() ? "0" : any), SqlKind::boolean()};
  }

  Maybe chain(const Node& at) {
    auto kids = program_.kids_of(at);
    Sql made{"", SqlKind::boolean()};
    for (std::size_t i = 1; i + 1 < kids.size(); i += 2) {
      Maybe link = comparison(kids[i - 1], static_cast<Comparison>(kids[i]), kids[i + 1]);
      if (!link) return std::nullopt;
      made.text += fmt::format("{}{}", i == 1 ? "" : " AND ", link->text);
    }
    made.text = fmt::format("({})", made.text);
    return made;
  }

  // Without arguments: `is none`, `is not none`.
  Maybe test(const Node& at) {
    const expr::Call& call = program_.calls[at.b];
    if (call.test == nullptr || (call.test->name != "none" && call.test->name != "null")) {
      return std::nullopt;
    }
    std::string_view is = at.flag == 1 ? "IS NOT NULL" : "IS NULL";
    const Node& subject = program_.nodes[at.a];
    if (subject.op == Op::kInput && program_.inputs[subject.a].root == "other") {
      bool nulls =
          std::ranges::any_of(rows_.others, [](const Value& row) { return row.is_null(); });
      if (nulls) return std::nullopt;
      return Sql{fmt::format("(o.n {})", is), SqlKind::boolean()};
    }
    Maybe operand = node(at.a);
    if (!operand) return std::nullopt;
    return Sql{fmt::format("({} {})", operand->text, is), SqlKind::boolean()};
  }

  Maybe filter(const Node& at) {
    const expr::Call& call = program_.calls[at.b];
    bool plain = call.inner == expr::kNoCall &&
                 std::ranges::all_of(call.args, [](NodeId arg) { return arg == kNone; });
    if (!plain || call.filter == nullptr) return std::nullopt;
    std::string_view name = call.filter->name;
    Maybe text = node(at.a);
    if (!text || text->kind.kinds != Type::kString) return std::nullopt;
    if (name == "length") {
      if (!text->kind.no_nul) return std::nullopt;
      return Sql{fmt::format("length({})", text->text), SqlKind::length()};
    }
    if (!text->kind.plain) return std::nullopt;
    if (name == "trim") {
      Maybe spaces = parameter(Value::string(kSpaces));
      return Sql{fmt::format("trim({}, {})", text->text, spaces->text), text->kind};
    }
    if (name != "lower" && name != "upper") return std::nullopt;
    return Sql{fmt::format("{}({})", name, text->text), text->kind};
  }

  Maybe conditional(const Node& at) {
    if (at.c == kNone) return std::nullopt;
    Maybe condition = boolean(at.a);
    Maybe chosen = condition ? node(at.b) : std::nullopt;
    Maybe otherwise = chosen ? node(at.c) : std::nullopt;
    if (!otherwise) return std::nullopt;
    Sql made{fmt::format("(CASE WHEN {} THEN {} ELSE {} END)", condition->text, chosen->text,
                         otherwise->text),
             chosen->kind};
    made.kind.add(otherwise->kind);
    return made.kind.one_group() ? Maybe(made) : std::nullopt;
  }

  Maybe arithmetic(const Node& at) {
    auto op = static_cast<expr::Arithmetic>(at.flag);
    Maybe a = node(at.a);
    Maybe b = a ? node(at.b) : std::nullopt;
    if (!b) return std::nullopt;
    if (op == expr::Arithmetic::kDivide) return quotient(*a, *b);
    bool known = op == expr::Arithmetic::kAdd || op == expr::Arithmetic::kSubtract ||
                 op == expr::Arithmetic::kMultiply;
    if (!known) return std::nullopt;
    SqlArithmetic same = op == expr::Arithmetic::kAdd        ? SqlArithmetic::kAdd
                         : op == expr::Arithmetic::kSubtract ? SqlArithmetic::kSubtract
                                                             : SqlArithmetic::kMultiply;
    auto kind = kind_of(same, a->kind, b->kind);
    if (!kind) return std::nullopt;
    static constexpr std::array<std::string_view, 3> kSymbols = {"+", "-", "*"};
    return Sql{
        fmt::format("({} {} {})", a->text, kSymbols[static_cast<std::size_t>(same)], b->text),
        *kind};
  }

  // By an integer that is never 0: always a float.
  static Maybe quotient(const Sql& a, const Sql& b) {
    bool divides = b.kind.kinds == Type::kInteger && (b.kind.low > 0 || b.kind.high < 0);
    if (!divides || a.kind.kinds != Type::kInteger) return std::nullopt;
    SqlKind kind;
    kind.kinds = Type::kFraction;
    kind.most = 1e19;  // no integer is larger
    return Sql{fmt::format("(CAST({} AS REAL) / {})", a.text, b.text), kind};
  }

  Maybe negative(NodeId operand) {
    SqlKind zero;
    zero.kinds = Type::kInteger;
    Maybe made = node(operand);
    auto kind = made ? kind_of(SqlArithmetic::kSubtract, zero, made->kind) : std::nullopt;
    if (!kind || !made->kind.is(kNumbers)) return std::nullopt;
    return Sql{fmt::format("(- {})", made->text), *kind};
  }

  const Expr& condition_;
  const ExprProgram& program_;
  std::span<const Value> inputs_;
  ConditionRows rows_;
  std::vector<bool> varies_;
  std::map<std::pair<bool, std::vector<std::string>>, Maybe> columns_;
  EvalContext context_;
  SqlCondition made_;
};

}  // namespace

std::optional<SqlCondition> compile_condition(const Expr& condition, std::span<const Value> inputs,
                                              const ConditionRows& rows) {
  return Compiler(condition, inputs, rows).compile();
}

const Value* column_value(const SqlColumn& column, const Value& row) {
  Labels labels;
  return walk(row, column.path, labels);
}

}  // namespace sluice
