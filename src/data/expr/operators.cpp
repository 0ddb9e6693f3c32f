// Arithmetic, comparison, slices: Python's meaning on JSON's kinds. Integers are exact within 64
// bits; beyond, an operation is an error, never a wrong number.
#include <algorithm>
#include <cmath>

#include "data/expr/evaluate.h"
#include "data/expr/text.h"
#include "data/json.h"
#include "fmt/format.h"

namespace sluice::expr {
namespace {

constexpr std::string_view kSymbols[] = {"+", "-", "*", "/", "//", "%", "**"};

bool integer_power(std::int64_t base, std::int64_t exponent, std::int64_t& out) {
  out = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(out, base, &out)) return false;
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) return false;
  }
  return true;
}

// False: does not fit. `divisor` is not 0 where it divides.
bool integer_operation(Arithmetic op, std::int64_t a, std::int64_t b, std::int64_t& out) {
  switch (op) {
    case Arithmetic::kAdd:
      return !__builtin_add_overflow(a, b, &out);
    case Arithmetic::kSubtract:
      return !__builtin_sub_overflow(a, b, &out);
    case Arithmetic::kMultiply:
      return !__builtin_mul_overflow(a, b, &out);
    case Arithmetic::kFloor:
      if (b == -1) return !__builtin_sub_overflow(std::int64_t{0}, a, &out);
      out = a / b - ((a % b != 0 && (a < 0) != (b < 0)) ? 1 : 0);
      return true;
    case Arithmetic::kModulo:
      out = b == -1 ? 0 : a % b;
      if (out != 0 && (out < 0) != (b < 0)) out += b;
      return true;
    case Arithmetic::kPower:
      return integer_power(a, b, out);
    case Arithmetic::kDivide:
      break;
  }
  return false;
}

double float_modulo(double a, double b) {
  double rest = std::fmod(a, b);
  if (rest != 0 && (rest < 0) != (b < 0)) rest += b;
  return rest;
}

double float_operation(Arithmetic op, double a, double b) {
  switch (op) {
    case Arithmetic::kAdd:
      return a + b;
    case Arithmetic::kSubtract:
      return a - b;
    case Arithmetic::kMultiply:
      return a * b;
    case Arithmetic::kDivide:
      return a / b;
    case Arithmetic::kFloor: {
      double quotient = (a - float_modulo(a, b)) / b;
      double whole = std::floor(quotient);
      return quotient - whole > 0.5 ? whole + 1 : whole;
    }
    case Arithmetic::kModulo:
      return float_modulo(a, b);
    case Arithmetic::kPower:
      return std::pow(a, b);
  }
  return 0;
}

}  // namespace

bool Evaluation::arithmetic(NodeId at, Arithmetic op, const Value& a, const Value& b, Value& out) {
  if (a.is_int() && b.is_int()) {
    bool divides =
        op == Arithmetic::kDivide || op == Arithmetic::kFloor || op == Arithmetic::kModulo;
    bool negative_power = op == Arithmetic::kPower && b.as_int() < 0;
    if (b.as_int() != 0 || !divides) {
      if (op != Arithmetic::kDivide && !negative_power) {
        std::int64_t result = 0;
        if (!integer_operation(op, a.as_int(), b.as_int(), result)) {
          return fail(at, ErrorCode::kExprArithmetic,
                      fmt::format("{} {} {} does not fit 64 bits; use a float", a.as_int(),
                                  kSymbols[static_cast<std::size_t>(op)], b.as_int()));
        }
        out = Value::integer(result);
        return true;
      }
    }
  }
  if (a.is_number() && b.is_number()) return number_operation(at, op, a, b, out);
  if (op == Arithmetic::kAdd && a.is_string() && b.is_string()) {
    if (!grow(a.as_string().size() + b.as_string().size())) return false;
    std::string text(a.as_string());
    text += b.as_string();
    return scan(text.size()) && (out = Value::string(text), true);
  }
  if (op == Arithmetic::kAdd && a.is_array() && b.is_array()) {
    if (!repeat_items(a, 1, nullptr) || !repeat_items(b, 1, nullptr)) return false;
    std::vector<Value> items(a.items().begin(), a.items().end());
    items.insert(items.end(), b.items().begin(), b.items().end());
    out = Value::array(std::move(items));
    return true;
  }
  if (op == Arithmetic::kMultiply && (a.is_int() || b.is_int())) {
    const Value& sequence = a.is_int() ? b : a;
    const Value& count = a.is_int() ? a : b;
    if (sequence.is_string() || sequence.is_array()) {
      return repeat(sequence, count.as_int(), out);
    }
  }
  std::string_view symbol = kSymbols[static_cast<std::size_t>(op)];
  std::string_view hint =
      op == Arithmetic::kAdd && (a.is_string() || b.is_string()) ? "; ~ joins text" : "";
  return fail(at, ErrorCode::kExprType,
              fmt::format("{} cannot stand between {} and {}{}: {} {} {}", symbol, kind_words(a),
                          kind_words(b), hint, preview(a, 60), symbol, preview(b, 60)));
}

bool Evaluation::number_operation(NodeId at, Arithmetic op, const Value& a, const Value& b,
                                  Value& out) {
  std::string_view symbol = kSymbols[static_cast<std::size_t>(op)];
  auto wrong = [&](std::string_view what) {
    return fail(at, ErrorCode::kExprArithmetic,
                fmt::format("{}: {} {} {}", what, preview(a, 60), symbol, preview(b, 60)));
  };
  using Kind = Value::Kind;
  if ((a.kind() == Kind::kBigInt || b.kind() == Kind::kBigInt) && a.kind() != Kind::kDouble &&
      b.kind() != Kind::kDouble) {
    return wrong("an integer beyond 64 bits cannot be calculated with; use | float");
  }
  double x = a.as_double();
  double y = b.as_double();
  bool divides = op == Arithmetic::kDivide || op == Arithmetic::kFloor || op == Arithmetic::kModulo;
  if ((divides && y == 0) || (op == Arithmetic::kPower && x == 0 && y < 0)) {
    return wrong("division by zero");
  }
  double result = float_operation(op, x, y);
  if (!std::isfinite(result)) return wrong("the result is no finite number");
  out = Value::number(result);
  return true;
}

// Counts (and, with `items`, appends) the items of `array` so many times.
bool Evaluation::repeat_items(const Value& array, std::uint64_t times, std::vector<Value>* items) {
  std::size_t size = array.items().size();
  std::size_t bytes = 0;
  if (__builtin_mul_overflow(size * sizeof(Value), times, &bytes) ||
      bytes > (std::size_t{1} << 40)) {
    return out_of_output();
  }
  if (!grow(bytes) || !step(size * times)) return false;
  if (items == nullptr) return true;
  items->reserve(size * times);
  for (std::uint64_t i = 0; i < times; ++i) {
    items->insert(items->end(), array.items().begin(), array.items().end());
  }
  return true;
}

bool Evaluation::repeat(const Value& sequence, std::int64_t count, Value& out) {
  auto times = static_cast<std::uint64_t>(std::max<std::int64_t>(count, 0));
  if (sequence.is_array()) {
    std::vector<Value> items;
    if (sequence.items().empty()) times = 0;
    if (!repeat_items(sequence, times, &items)) return false;
    out = Value::array(std::move(items));
    return true;
  }
  std::string_view text = sequence.as_string();
  if (text.empty()) times = 0;
  std::size_t bytes = 0;
  if (__builtin_mul_overflow(text.size(), times, &bytes) || bytes > (std::size_t{1} << 40)) {
    return out_of_output();
  }
  if (!grow(bytes) || !scan(bytes)) return false;
  std::string result;
  result.reserve(bytes);
  for (std::uint64_t i = 0; i < times; ++i) result += text;
  out = Value::string(result);
  return true;
}

const Value* Evaluation::eval_sign(NodeId id, const Node& node, Value& scratch) {
  const Value* operand = eval(node.a, scratch);
  if (operand == nullptr) return nullptr;
  if (!operand->is_number()) {
    fail(id, ErrorCode::kExprType,
         fmt::format("{} needs a number, not {}: {}", node.op == Op::kNegate ? "-" : "+",
                     kind_words(*operand), preview(*operand)));
    return nullptr;
  }
  if (node.op == Op::kPlus) return operand;
  Labels labels = operand->labels();
  Value result;
  if (operand->kind() == Value::Kind::kDouble) {
    result = Value::number(-operand->as_double());
  } else {
    std::string digits = operand->is_int() ? fmt::format("{}", operand->as_int())
                                           : std::string(operand->as_string());
    result = Value::big_integer(digits[0] == '-' ? digits.substr(1) : "-" + digits);
  }
  scratch = labels.none() ? std::move(result) : result.with_labels(labels);
  return &scratch;
}

const Value* Evaluation::eval_binary(NodeId id, const Node& node, Value& scratch) {
  Value right_scratch;
  const Value* left = eval(node.a, scratch);
  if (left == nullptr) return nullptr;
  const Value* right = eval(node.b, right_scratch);
  if (right == nullptr) return nullptr;
  Labels labels = left->labels() | right->labels();
  if (node.op == Op::kArithmetic) {
    Value result;
    if (!arithmetic(id, static_cast<Arithmetic>(node.flag), *left, *right, result)) return nullptr;
    scratch = std::move(result);
  } else {
    bool holds = false;
    if (!compare(id, static_cast<Comparison>(node.flag), *left, *right, holds)) return nullptr;
    scratch = Value::boolean(holds);
  }
  if (!labels.none()) scratch = scratch.with_labels(labels);
  return &scratch;
}

const Value* Evaluation::eval_chain(NodeId id, const Node& node, Value& scratch) {
  auto kids = program_.kids_of(node);
  Value scratches[2];
  const Value* left = eval(kids[0], scratches[0]);
  if (left == nullptr) return nullptr;
  Labels labels = left->labels();
  bool holds = true;
  for (std::size_t i = 1; holds && i < kids.size(); i += 2) {
    Value& right_scratch = scratches[((i + 1) / 2) % 2];
    const Value* right = eval(kids[i + 1], right_scratch);
    if (right == nullptr) return nullptr;
    labels = labels | right->labels();
    if (!compare(id, static_cast<Comparison>(kids[i]), *left, *right, holds)) return nullptr;
    left = right;
  }
  scratch = Value::boolean(holds);
  if (!labels.none()) scratch = scratch.with_labels(labels);
  return &scratch;
}

// Python's rules for a[start:stop:step].
const Value* Evaluation::eval_slice(NodeId id, const Node& node, Value& scratch, bool soft) {
  const Value* base = eval(node.a, scratch, soft);
  if (base == nullptr) return nullptr;
  if (!base->is_array() && !base->is_string()) {
    fail(id, ErrorCode::kExprType,
         fmt::format("only an array or a string can be sliced, not {}: {}", kind_words(*base),
                     preview(*base)));
    return nullptr;
  }
  Labels labels = base->labels();
  std::optional<std::int64_t> bounds[3];
  for (std::uint32_t i = 0; i < 3; ++i) {
    NodeId part = program_.kids[node.b + i];
    if (part == kNone) continue;
    Value part_scratch;
    const Value* bound = eval(part, part_scratch);
    if (bound == nullptr) return nullptr;
    labels = labels | bound->labels();
    if (bound->is_null()) continue;
    if (!bound->is_int()) {
      fail(part, ErrorCode::kExprType,
           fmt::format("a bound of a slice is an integer, not {}: {}", kind_words(*bound),
                       preview(*bound)));
      return nullptr;
    }
    bounds[i] = bound->as_int();
  }
  if (bounds[2] == 0) {
    fail(id, ErrorCode::kExprArithmetic, "the step of a slice is 0");
    return nullptr;
  }
  Value result;
  if (!take_slice(*base, bounds, result)) return nullptr;
  if (base->is_array() && base->secret_only_inside()) labels.secret = false;
  scratch = labels.none() ? std::move(result) : result.with_labels(labels);
  return &scratch;
}

bool Evaluation::take_slice(const Value& base, const std::optional<std::int64_t> (&bounds)[3],
                            Value& out) {
  std::vector<std::string_view> characters;
  if (base.is_string()) {
    std::string_view text = base.as_string();
    if (!scan(text.size() * 16)) return false;
    for (std::size_t at = 0; at < text.size();) {
      std::size_t length = utf8_length(text, at);
      characters.push_back(text.substr(at, length));
      at += length;
    }
  }
  auto size = static_cast<std::int64_t>(base.is_string() ? characters.size() : base.items().size());
  std::int64_t by = bounds[2].value_or(1);
  auto clamp = [&](std::optional<std::int64_t> bound, std::int64_t otherwise) {
    if (!bound) return otherwise;
    std::int64_t i = *bound < 0 ? *bound + size : *bound;
    return by > 0 ? std::clamp<std::int64_t>(i, 0, size)
                  : std::clamp<std::int64_t>(i, -1, size - 1);
  };
  std::int64_t start = clamp(bounds[0], by > 0 ? 0 : size - 1);
  std::int64_t stop = clamp(bounds[1], by > 0 ? size : -1);
  std::string text;
  std::vector<Value> items;
  for (std::int64_t i = start; by > 0 ? i < stop : i > stop;) {
    auto position = static_cast<std::size_t>(i);
    if (base.is_string())
      text += characters[position];
    else
      items.push_back(base.items()[position]);
    if (__builtin_add_overflow(i, by, &i)) break;
  }
  if (base.is_string()) return make_string(text, out);
  if (!grow(items.size() * sizeof(Value)) || !step(items.size())) return false;
  out = Value::array(std::move(items));
  return true;
}

}  // namespace sluice::expr
