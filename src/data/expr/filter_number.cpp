// Numbers: int, float, round, abs, sum.
#include <charconv>
#include <cmath>

#include "data/expr/filters.h"
#include "data/expr/text.h"
#include "data/json.h"
#include "fmt/format.h"

namespace sluice::expr {
namespace {

std::string_view trimmed(std::string_view text) {
  auto parts = split_whitespace(text, 1);
  return parts.size() == 1 ? parts[0] : std::string_view();
}

// The whole part of a finite number; exact.
Value whole_part(double number) {
  constexpr double kTwoTo63 = 9223372036854775808.0;
  double whole = std::trunc(number);
  if (whole >= -kTwoTo63 && whole < kTwoTo63)
    return Value::integer(static_cast<std::int64_t>(whole));
  return Value::big_integer(fmt::format("{:.0f}", whole));
}

std::optional<Value> parse_whole(std::string_view digits, bool negative, int base) {
  auto prefixed = [&](std::string_view prefix) {
    return digits.size() > 2 && digits[0] == '0' && (digits[1] | 0x20) == prefix[0];
  };
  if ((base == 16 && prefixed("x")) || (base == 8 && prefixed("o")) ||
      (base == 2 && prefixed("b"))) {
    digits = digits.substr(2);
  }
  if (base == 10 && digits.size() > 18) {
    if (digits.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
    return Value::big_integer((negative ? "-" : "") + std::string(digits));
  }
  std::int64_t value = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (error != std::errc{} || end != digits.data() + digits.size() || digits[0] == '-') {
    return std::nullopt;
  }
  return Value::integer(negative ? -value : value);
}

double round_common(double number, int precision) {
  if (precision >= 0) {
    // printf rounds the exact binary number, ties to even, as Python's round() does.
    std::string text = fmt::format("{:.{}f}", number, precision);
    double rounded = number;
    std::from_chars(text.data(), text.data() + text.size(), rounded);
    return rounded;
  }
  double scale = std::pow(10.0, -precision);
  return std::isfinite(scale) ? std::nearbyint(number / scale) * scale : 0.0;
}

}  // namespace

std::optional<Value> parse_number(std::string_view text, bool whole, int base) {
  text = trimmed(text);
  bool negative = text.starts_with('-');
  std::string_view digits = text;
  if (negative || text.starts_with('+')) digits = text.substr(1);
  if (digits.empty()) return std::nullopt;
  if (whole) return parse_whole(digits, negative, base);
  if ((digits[0] < '0' || digits[0] > '9') && digits[0] != '.') return std::nullopt;
  double value = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc{} || end != digits.data() + digits.size() || !std::isfinite(value)) {
    return std::nullopt;
  }
  return Value::number(negative ? -value : value);
}

// What is no number gives the default, as in Jinja.
bool filter_int(CallFrame& call, Value& out) {
  const Value& subject = *call.subject;
  std::int64_t base = call.integer(1, 10);
  if (base < 2 || base > 36) return call.fail(ErrorCode::kExprType, "the base is 2 to 36");
  if (subject.is_string()) {
    if (!call.run.step(1 + subject.as_string().size())) return false;
    auto parsed = parse_number(subject.as_string(), true, static_cast<int>(base));
    if (!parsed && base == 10) {
      parsed = parse_number(subject.as_string(), false, 10);
      if (parsed) parsed = whole_part(parsed->as_double());
    }
    if (parsed) {
      out = std::move(*parsed);
      return true;
    }
  } else if (subject.kind() == Value::Kind::kDouble) {
    out = whole_part(subject.as_double());
    return true;
  } else if (subject.is_number()) {
    out = Value(subject);
    return true;
  } else if (subject.is_bool()) {
    out = Value::integer(subject.as_bool() ? 1 : 0);
    return true;
  }
  out = call.args[0] != nullptr ? Value(*call.args[0]) : Value::integer(0);
  return true;
}

bool filter_float(CallFrame& call, Value& out) {
  const Value& subject = *call.subject;
  if (subject.is_string()) {
    if (!call.run.step(1 + subject.as_string().size())) return false;
    if (auto parsed = parse_number(subject.as_string(), false, 10)) {
      out = std::move(*parsed);
      return true;
    }
  } else if (subject.is_number()) {
    double number = subject.as_double();
    if (!std::isfinite(number)) {
      return call.fail(ErrorCode::kExprArithmetic,
                       "too large for a float: " + preview(subject, 60));
    }
    out = Value::number(number);
    return true;
  } else if (subject.is_bool()) {
    out = Value::number(subject.as_bool() ? 1 : 0);
    return true;
  }
  out = call.args[0] != nullptr ? Value(*call.args[0]) : Value::number(0);
  return true;
}

bool filter_round(CallFrame& call, Value& out) {
  const Value& subject = *call.subject;
  std::int64_t precision = call.integer(0, 0);
  std::string_view method = call.text(1, "common");
  if (method != "common" && method != "ceil" && method != "floor") {
    return call.fail(ErrorCode::kExprType, "round's method is common, ceil or floor");
  }
  if (precision < -300 || precision > 300) {
    return call.fail(ErrorCode::kExprType, "round's precision is -300 to 300");
  }
  bool whole = subject.kind() != Value::Kind::kDouble;
  if (whole && precision >= 0) {
    out = Value(subject);
    return true;
  }
  if (subject.kind() == Value::Kind::kBigInt) {
    return call.fail(ErrorCode::kExprArithmetic,
                     "an integer beyond 64 bits cannot be rounded: " + preview(subject, 60));
  }
  double number = subject.as_double();
  double result = 0;
  if (method == "common") {
    result = round_common(number, static_cast<int>(precision));
  } else {
    double scale = std::pow(10.0, static_cast<double>(precision));
    double scaled = number * scale;
    result = (method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale;
    if (!std::isfinite(scaled) || !std::isfinite(result)) result = number;
  }
  constexpr double kExact = 9007199254740992.0;
  out = whole && std::abs(result) <= kExact ? Value::integer(static_cast<std::int64_t>(result))
                                            : Value::number(result);
  return true;
}

bool filter_abs(CallFrame& call, Value& out) {
  const Value& subject = *call.subject;
  if (subject.kind() == Value::Kind::kDouble) {
    out = Value::number(std::abs(subject.as_double()));
    return true;
  }
  if (subject.is_int() && subject.as_int() >= 0) {
    out = Value(subject);
    return true;
  }
  std::string digits =
      subject.is_int() ? fmt::format("{}", subject.as_int()) : std::string(subject.as_string());
  out = Value::big_integer(digits[0] == '-' ? std::string_view(digits).substr(1) : digits);
  return true;
}

bool filter_sum(CallFrame& call, Value& out) {
  Value total = call.args[1] != nullptr ? Value(*call.args[1]) : Value::integer(0);
  Labels labels;
  for (const Value& item : call.subject->items()) {
    if (!call.run.step()) return false;
    Value scratch;
    const Value* value = &item;
    if (call.args[0] != nullptr) {
      value = call.run.attribute(call.node, item, call.text(0, ""), scratch, false);
      if (value == nullptr) return false;
    }
    labels = labels | value->labels();
    if (!value->is_number()) {
      return call.fail(ErrorCode::kExprType, fmt::format("sum needs numbers, not {}: {}",
                                                         kind_words(*value), preview(*value)));
    }
    Value next;
    if (!call.run.arithmetic(call.node, Arithmetic::kAdd, total, *value, next)) return false;
    total = std::move(next);
  }
  out = labels.none() ? std::move(total) : total.with_labels(labels);
  return true;
}

}  // namespace sluice::expr
