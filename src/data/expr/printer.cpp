#include "data/expr/printer.h"

#include <algorithm>

#include "base/ensure.h"
#include "base/failpoint.h"
#include "data/expr/calls.h"
#include "data/expr/parser.h"
#include "data/expr/token.h"
#include "data/json.h"
#include "fmt/format.h"

namespace sluice::expr {
namespace {

// How tightly an expression binds; one that binds less than its place asks for gets parentheses.
enum Level {
  kConditionalLevel,
  kOrLevel,
  kAndLevel,
  kNotLevel,
  kCompareLevel,
  kSumLevel,
  kConcatLevel,
  kProductLevel,
  kPowerLevel,
  kUnaryLevel,
  kFilterLevel,
  kPostfixLevel,
};

constexpr std::string_view kArithmeticText[] = {"+", "-", "*", "/", "//", "%", "**"};
constexpr std::string_view kComparisonText[] = {"==", "!=", "<", "<=", ">", ">=", "in", "not in"};

bool is_identifier(std::string_view name) {
  auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  return !name.empty() && letter(name[0]) &&
         std::ranges::all_of(name, [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

// JSON, but a number with a fraction part keeps it: 1.0 is no integer.
std::string literal(const Value& value) {
  std::string text = to_json(value, {.indent = 0, .redact_secrets = false});
  bool whole = value.kind() == Value::Kind::kDouble && text.find_first_of(".eE") == text.npos;
  return whole ? text + ".0" : text;
}

std::string field(std::string_view name) {
  return is_identifier(name) ? fmt::format(".{}", name)
                             : fmt::format("[{}]", literal(Value::string(name)));
}

class Printer {
 public:
  explicit Printer(const ExprProgram& program,
                   std::span<const std::optional<Substitute>> substitutes = {})
      : program_(program), substitutes_(substitutes), locals_(program.locals) {
    for (const Loop& loop : program.loops) {
      for (std::uint32_t i = 0; i < loop.targets; ++i) {
        locals_[loop.first_local + i] = loop.names[i];
      }
    }
  }

  std::string expression(NodeId id, Level least = kConditionalLevel) const {
    const Node& node = program_.nodes[id];
    std::string text = bare(node);
    return level(node) < least ? "(" + text + ")" : text;
  }

  std::string body(NodeId id) const {
    const Node& node = program_.nodes[id];
    switch (node.op) {
      case Op::kText:
        return raw(program_.constants[node.a].as_string());
      case Op::kOutput:
        return "{{ " + expression(node.a) + " }}";
      case Op::kSequence: {
        std::string text;
        for (NodeId kid : program_.kids_of(node)) text += body(kid);
        return text;
      }
      case Op::kIf:
        return if_block(node);
      case Op::kFor:
        return for_block(program_.loops[node.a]);
      default:
        return "";
    }
  }

  // A loop binds a name of what was printed in the place of an input.
  bool captured() const { return captured_; }

 private:
  Level level(const Node& node) const {
    switch (node.op) {
      case Op::kConditional:
        return kConditionalLevel;
      case Op::kOr:
        return kOrLevel;
      case Op::kAnd:
        return kAndLevel;
      case Op::kNot:
        return kNotLevel;
      case Op::kCompare:
      case Op::kChain:
        return kCompareLevel;
      case Op::kConcat:
        return kConcatLevel;
      case Op::kNegate:
      case Op::kPlus:
        return kUnaryLevel;
      case Op::kTest:
      case Op::kFilter:
        return kFilterLevel;
      case Op::kConst: {
        const Value& value = program_.constants[node.a];
        return value.is_number() && literal(value)[0] == '-' ? kUnaryLevel : kPostfixLevel;
      }
      case Op::kInput: {
        const Substitute* substitute = substitute_of(node.a);
        return !substitute || substitute->postfix ? kPostfixLevel : kConditionalLevel;
      }
      case Op::kArithmetic: {
        auto op = static_cast<Arithmetic>(node.flag);
        if (op == Arithmetic::kPower) return kPowerLevel;
        return op == Arithmetic::kAdd || op == Arithmetic::kSubtract ? kSumLevel : kProductLevel;
      }
      default:
        return kPostfixLevel;
    }
  }

  static Level above(Level level) { return static_cast<Level>(level + 1); }

  std::string bare(const Node& node) const {
    switch (node.op) {
      case Op::kConst:
        return literal(program_.constants[node.a]);
      case Op::kInput:
        return input(node.a);
      case Op::kLocal:
        return locals_[node.a];
      case Op::kLoop:
        return fmt::format("loop.{}", kLoopFields[node.flag]);
      case Op::kList:
        return "[" + joined(node, ", ", kConditionalLevel) + "]";
      case Op::kDict:
        return dict(node);
      case Op::kMember:
        return expression(node.a, kPostfixLevel) + field(program_.names[node.b]);
      case Op::kIndex:
        return indexed(node);
      case Op::kSlice:
        return slice(node);
      case Op::kNot:
        return "not " + expression(node.a, kNotLevel);
      case Op::kNegate:
        return "-" + signed_operand(node.a);
      case Op::kPlus:
        return "+" + signed_operand(node.a);
      case Op::kArithmetic: {
        Level own = level(node);
        return fmt::format("{} {} {}", expression(node.a, own), kArithmeticText[node.flag],
                           expression(node.b, above(own)));
      }
      case Op::kConcat:
        return joined(node, " ~ ", kProductLevel);
      case Op::kAnd:
        return joined(node, " and ", kNotLevel);
      case Op::kOr:
        return joined(node, " or ", kAndLevel);
      case Op::kCompare:
        return fmt::format("{} {} {}", expression(node.a, kSumLevel), kComparisonText[node.flag],
                           expression(node.b, kSumLevel));
      case Op::kChain:
        return chain(node);
      case Op::kTest: {
        const Call& call = program_.calls[node.b];
        return fmt::format("{} is {}{}{}", expression(node.a, kUnaryLevel),
                           node.flag == 1 ? "not " : "", call.test->name, arguments(call));
      }
      case Op::kFilter: {
        const Call& call = program_.calls[node.b];
        return fmt::format("{} | {}{}", expression(node.a, kUnaryLevel), call.filter->name,
                           arguments(call));
      }
      case Op::kConditional: {
        std::string text = expression(node.b, kOrLevel) + " if " + expression(node.a, kOrLevel);
        return node.c == kNone ? text : text + " else " + expression(node.c);
      }
      default:
        return "";
    }
  }

  // After a sign neither a filter nor a negative number can stand.
  std::string signed_operand(NodeId id) const {
    const Node& node = program_.nodes[id];
    bool sign = node.op == Op::kNegate || node.op == Op::kPlus;
    return sign ? "(" + bare(node) + ")" : expression(id, kPostfixLevel);
  }

  std::string joined(const Node& node, std::string_view between, Level least) const {
    std::string text;
    for (NodeId kid : program_.kids_of(node)) {
      if (!text.empty()) text += between;
      text += expression(kid, least);
    }
    return text;
  }

  std::string dict(const Node& node) const {
    auto kids = program_.kids_of(node);
    std::string text = "{";
    for (std::size_t i = 0; i < kids.size(); i += 2) {
      text +=
          fmt::format("{}{}: {}", i == 0 ? "" : ", ", expression(kids[i]), expression(kids[i + 1]));
    }
    return text + "}";
  }

  std::string slice(const Node& node) const {
    std::string text = expression(node.a, kPostfixLevel) + "[";
    for (std::uint32_t i = 0; i < 3; ++i) {
      NodeId part = program_.kids[node.b + i];
      if (i == 1 || (i == 2 && part != kNone)) text += ":";
      if (part != kNone) text += expression(part);
    }
    return text + "]";
  }

  std::string chain(const Node& node) const {
    auto kids = program_.kids_of(node);
    std::string text = expression(kids[0], kSumLevel);
    for (std::size_t i = 1; i < kids.size(); i += 2) {
      text += fmt::format(" {} {}", kComparisonText[kids[i]], expression(kids[i + 1], kSumLevel));
    }
    return text;
  }

  const Substitute* substitute_of(std::uint32_t input) const {
    bool set = input < substitutes_.size() && substitutes_[input];
    return set ? &*substitutes_[input] : nullptr;
  }

  // `[index]` right behind a step's output would read its slot: this is an item of the whole.
  std::string indexed(const Node& node) const {
    std::string base = expression(node.a, kPostfixLevel);
    std::string index = expression(node.b);
    bool like_slot =
        program_.nodes[node.a].op == Op::kInput && base.starts_with("steps") && index == "index";
    return like_slot ? base + "[(index)]" : fmt::format("{}[{}]", base, index);
  }

  std::string input(std::uint32_t which) const {
    if (const Substitute* substitute = substitute_of(which)) {
      for (const std::string& name : substitute->names) {
        captured_ = captured_ || std::ranges::find(bound_, name) != bound_.end();
      }
      return substitute->text;
    }
    const ExprInput& input = program_.inputs[which];
    std::string text = input.root;
    for (const std::string& name : input.path) text += field(name);
    return input.slot ? text + "[index]" : text;
  }

  void add_arguments(const Call& call, std::vector<std::string>& out) const {
    std::span<const Param> params =
        call.filter != nullptr ? call.filter->params : call.test->params;
    bool positional = true;
    for (std::size_t i = 0; i < kMaxParams; ++i) {
      if (call.args[i] == kNone) {
        positional = false;
        continue;
      }
      std::string value = expression(call.args[i]);
      out.push_back(positional ? value : fmt::format("{}={}", params[i].name, value));
    }
  }

  std::string arguments(const Call& call) const {
    std::vector<std::string> parts;
    if (call.inner == kNoCall && call.filter != nullptr && call.filter->inner == Inner::kFilter) {
      // A first argument without its name would name a filter.
      for (std::size_t i = 0; i < kMaxParams; ++i) {
        if (call.args[i] == kNone) continue;
        parts.push_back(
            fmt::format("{}={}", call.filter->params[i].name, expression(call.args[i])));
      }
    } else {
      add_arguments(call, parts);
    }
    if (call.inner != kNoCall) {
      const Call& inner = program_.calls[call.inner];
      std::string_view name = inner.filter != nullptr ? inner.filter->name : inner.test->name;
      parts.push_back(literal(Value::string(name)));
      add_arguments(inner, parts);
    }
    return parts.empty() ? "" : fmt::format("({})", fmt::join(parts, ", "));
  }

  // The + marks keep the text around a tag as it is.
  static std::string tag(std::string_view inside) { return fmt::format("{{%+ {} +%}}", inside); }

  static std::string raw(std::string_view text) {
    bool plain = text.find("{{") == text.npos && text.find("{%") == text.npos &&
                 text.find("{#") == text.npos && !text.ends_with('{');
    return plain ? std::string(text) : fmt::format("{{%+ raw %}}{}{{%+ endraw +%}}", text);
  }

  std::string if_block(const Node& node) const {
    auto kids = program_.kids_of(node);
    std::string text;
    for (std::size_t i = 0; i < kids.size(); i += 2) {
      text += tag((i == 0 ? "if " : "elif ") + expression(kids[i])) + body(kids[i + 1]);
    }
    if (node.c != kNone) text += tag("else") + body(node.c);
    return text + tag("endif");
  }

  std::string for_block(const Loop& loop) const {
    std::string text =
        tag(fmt::format("for {} in {}", fmt::join(loop.names, ", "), expression(loop.iterable)));
    std::size_t outer = bound_.size();
    bound_.insert(bound_.end(), loop.names.begin(), loop.names.end());
    bound_.emplace_back("loop");
    text += body(loop.body);
    bound_.resize(outer);
    if (loop.otherwise != kNone) text += tag("else") + body(loop.otherwise);
    return text + tag("endfor");
  }

  const ExprProgram& program_;
  std::span<const std::optional<Substitute>> substitutes_;
  std::vector<std::string> locals_;
  // While it prints: what the loops around this place bind, and whether one of them took a name.
  mutable std::vector<std::string> bound_;
  mutable bool captured_ = false;
};

std::string print_by(const Printer& printer, const ExprProgram& program) {
  if (!program.is_template) return "{{ " + printer.expression(program.root) + " }}";
  std::string text = printer.body(program.root);
  // A text that has become one {{ }} would keep its type.
  if (has_markup(text) && lex(text).single) text += "{{ \"\" }}";
  return text;
}

void add_conjuncts(const Printer& printer, const ExprProgram& program, NodeId id,
                   std::vector<std::string>& into) {
  const Node& node = program.nodes[id];
  const bool taken_for_and = node.op == Op::kOr && failpoint(Failpoint::kOrIsAnd);
  if (node.op != Op::kAnd && !taken_for_and) {
    into.push_back(printer.expression(id));
    return;
  }
  for (NodeId kid : program.kids_of(node)) add_conjuncts(printer, program, kid, into);
}

}  // namespace

std::string print(const ExprProgram& program) {
  if (program.literal) {
    const Value& value = program.constants[program.nodes[program.root].a];
    if (value.is_string() && !has_markup(value.as_string())) return std::string(value.as_string());
    return "{{ " + literal(value) + " }}";
  }
  return print_by(Printer(program), program);
}

std::optional<std::string> print_with(const ExprProgram& program,
                                      std::span<const std::optional<Substitute>> substitutes) {
  if (program.literal) return print(program);
  Printer printer(program, substitutes);
  std::string text = print_by(printer, program);
  if (printer.captured()) return std::nullopt;
  return text;
}

std::vector<std::string> print_conjuncts(const ExprProgram& program) {
  std::vector<std::string> conjuncts;
  if (!program.is_template) add_conjuncts(Printer(program), program, program.root, conjuncts);
  return conjuncts;
}

}  // namespace sluice::expr
