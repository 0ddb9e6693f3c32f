#include "optimize/input_use.h"

#include <algorithm>

#include "data/expr/calls.h"
#include "data/expr/parts.h"
#include "data/json.h"
#include "fmt/format.h"
#include "plan/rewrite.h"

namespace sluice {
namespace {

using expr::Node;
using expr::NodeId;
using expr::Op;

class Uses {
 public:
  explicit Uses(const ExprProgram& program) : program_(program), found_(program.inputs.size()) {}

  std::vector<InputUse> find() {
    expr::for_each_node(program_, program_.root, [&](NodeId id) { count(program_.nodes[id]); });
    surely(program_.root);
    return std::move(found_);
  }

 private:
  void count(const Node& node) {
    if (node.op == Op::kInput) ++found_[node.a].times;
    if (node.op != Op::kFor) return;
    const expr::Loop& loop = program_.loops[node.a];
    const std::vector<bool> read = expr::inputs_read(program_, loop.body);
    for (std::size_t i = 0; i < read.size(); ++i) found_[i].times += read[i] ? 1 : 0;
  }

  void all(const Node& node) {
    for (NodeId kid : program_.kids_of(node)) surely(kid);
  }

  void surely(NodeId id) {
    if (id == expr::kNone) return;
    const Node& node = program_.nodes[id];
    switch (node.op) {
      case Op::kInput:
        found_[node.a].always = true;
        return;
      case Op::kMember:
      case Op::kNot:
      case Op::kNegate:
      case Op::kPlus:
      case Op::kOutput:
        return surely(node.a);
      case Op::kIndex:
      case Op::kArithmetic:
      case Op::kCompare:
        surely(node.a);
        return surely(node.b);
      case Op::kList:
      case Op::kDict:
      case Op::kConcat:
      case Op::kSequence:
        return all(node);
      case Op::kAnd:  // what comes behind may not be looked at
      case Op::kOr:
      case Op::kIf:
        return surely(program_.kids[node.a]);
      case Op::kChain:
        surely(program_.kids[node.a]);
        return surely(program_.kids[node.a + 2]);
      case Op::kConditional:
        return surely(node.a);
      case Op::kFor:
        return surely(program_.loops[node.a].iterable);
      case Op::kSlice:
        return surely(node.a);
      case Op::kFilter: {
        const expr::Call& call = program_.calls[node.b];
        if (!call.filter->soft) surely(node.a);
        return;
      }
      default:  // a test may live with what is undefined
        return;
    }
  }

  const ExprProgram& program_;
  std::vector<InputUse> found_;
};

// Below {{ }} and without it.
std::optional<std::string> leaf_text(const Binding& leaf) {
  if (leaf.broken) return std::nullopt;
  if (leaf.expr.inputs().empty()) {
    const auto constant = leaf.expr.as_constant();
    return constant ? literal_text(*constant) : std::nullopt;
  }
  if (leaf.expr.is_template()) return std::nullopt;
  constexpr std::string_view kOpen = "{{ ", kClose = " }}";
  const std::string text = leaf.expr.to_string();
  if (!text.starts_with(kOpen) || !text.ends_with(kClose)) return std::nullopt;
  return text.substr(kOpen.size(), text.size() - kOpen.size() - kClose.size());
}

}  // namespace

std::vector<InputUse> input_uses(const Expr& expr) {
  if (expr.inputs().empty()) return {};
  return Uses(expr::program_of(expr)).find();
}

std::optional<std::string> expression_text(const Binding& binding) {
  if (binding.kind == Binding::Kind::kExpr) return leaf_text(binding);
  const bool list = binding.kind == Binding::Kind::kList;
  std::string text;
  auto add = [&text](const std::string& key, const Binding& part) {
    const auto value = expression_text(part);
    if (value) text += fmt::format("{}{}{}", text.empty() ? "" : ", ", key, *value);
    return value.has_value();
  };
  for (const Binding& item : binding.items) {
    if (!add("", item)) return std::nullopt;
  }
  for (const auto& [key, member] : binding.members) {
    if (!add(to_json(Value::string(key)) + ": ", member)) return std::nullopt;
  }
  return list ? "[" + text + "]" : "{" + text + "}";
}

bool is_path(const Binding& binding) {
  if (binding.kind != Binding::Kind::kExpr || binding.broken || binding.expr.is_template()) {
    return false;
  }
  if (binding.expr.inputs().size() != 1) return false;
  const ExprProgram& program = expr::program_of(binding.expr);
  NodeId at = program.root;
  for (;;) {
    const Node& node = program.nodes[at];
    if (node.op == Op::kInput) return true;
    const bool member =
        node.op == Op::kMember || (node.op == Op::kIndex && program.nodes[node.b].op == Op::kConst);
    if (!member) return false;
    at = node.a;
  }
}

bool cannot_fail(const Binding& binding) {
  bool sure = true;
  binding.for_each_expr([&](const Binding& leaf) {
    const bool constant = leaf.expr.inputs().empty() && leaf.expr.as_constant();
    sure = sure && !leaf.broken && (constant || leaf.expr.as_input());
  });
  return sure;
}

}  // namespace sluice
