#include "tools/table_query/sql_kind.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

namespace sluice {
namespace {

constexpr std::uint16_t kNumbers = Type::kInteger | Type::kFraction;
// Beyond it an integer and a float that are not equal may look alike, or the other way round.
constexpr std::int64_t kExactInFloat = std::int64_t{1} << 53;

bool exact_in_float(const SqlKind& kind) {
  return !kind.can_be(Type::kInteger) || (kind.low >= -kExactInFloat && kind.high <= kExactInFloat);
}

double size_of(const SqlKind& kind) {
  double most = kind.can_be(Type::kFraction) ? kind.most : 0;
  if (!kind.can_be(Type::kInteger)) return most;
  return std::max(
      {most, std::fabs(static_cast<double>(kind.low)), std::fabs(static_cast<double>(kind.high))});
}

// Booleans, numbers and strings as bits of their own.
unsigned groups(const SqlKind& kind) {
  return (kind.can_be(Type::kBoolean) ? 1U : 0U) | (kind.can_be(kNumbers) ? 2U : 0U) |
         (kind.can_be(Type::kString) ? 4U : 0U);
}

bool fits(SqlArithmetic op, std::int64_t a, std::int64_t b, std::int64_t& out) {
  switch (op) {
    case SqlArithmetic::kAdd:
      return !__builtin_add_overflow(a, b, &out);
    case SqlArithmetic::kSubtract:
      return !__builtin_sub_overflow(a, b, &out);
    case SqlArithmetic::kMultiply:
      return !__builtin_mul_overflow(a, b, &out);
  }
  return false;
}

}  // namespace

bool SqlKind::one_group() const { return std::popcount(groups(*this)) <= 1; }

bool SqlKind::add(const Value& value) {
  SqlKind one;
  switch (value.kind()) {
    case Value::Kind::kNull:
      one.kinds = Type::kNull;
      break;
    case Value::Kind::kBool:
      one.kinds = Type::kBoolean;
      break;
    case Value::Kind::kInt:
      one.kinds = Type::kInteger;
      one.low = one.high = value.as_int();
      break;
    case Value::Kind::kDouble:
      one.kinds = Type::kFraction;
      one.most = std::fabs(value.as_double());
      break;
    case Value::Kind::kString: {
      one.kinds = Type::kString;
      one.no_nul = std::ranges::find(value.as_string(), '\0') == value.as_string().end();
      one.plain =
          one.no_nul && std::ranges::all_of(value.as_string(), [](char c) { return c > 0; });
      break;
    }
    default:
      return false;
  }
  add(one);
  return true;
}

void SqlKind::add(const SqlKind& other) {
  if (other.can_be(Type::kInteger)) {
    low = can_be(Type::kInteger) ? std::min(low, other.low) : other.low;
    high = can_be(Type::kInteger) ? std::max(high, other.high) : other.high;
  }
  most = std::max(most, other.most);
  plain = plain && other.plain;
  no_nul = no_nul && other.no_nul;
  kinds = static_cast<std::uint16_t>(kinds | other.kinds);
}

SqlKind SqlKind::boolean() {
  SqlKind kind;
  kind.kinds = Type::kBoolean;
  return kind;
}

SqlKind SqlKind::length() {
  SqlKind kind;
  kind.kinds = Type::kInteger;
  kind.high = std::numeric_limits<std::int32_t>::max();
  return kind;
}

bool same_equality(const SqlKind& a, const SqlKind& b) {
  if (std::popcount(groups(a) | groups(b)) > 1) return false;
  bool mixed = (a.can_be(Type::kInteger) && b.can_be(Type::kFraction)) ||
               (a.can_be(Type::kFraction) && b.can_be(Type::kInteger));
  return !mixed || (exact_in_float(a) && exact_in_float(b));
}

bool same_order(const SqlKind& a, const SqlKind& b) {
  bool null = a.can_be(Type::kNull) || b.can_be(Type::kNull);
  return !null && a.kinds != 0 && b.kinds != 0 && std::popcount(groups(a) | groups(b)) == 1;
}

std::optional<SqlKind> kind_of(SqlArithmetic op, const SqlKind& a, const SqlKind& b) {
  if (a.kinds == 0 || b.kinds == 0 || !a.is(kNumbers) || !b.is(kNumbers)) return std::nullopt;
  SqlKind made;
  if (a.can_be(Type::kInteger) && b.can_be(Type::kInteger)) {
    const std::array<std::int64_t, 2> left = {a.low, a.high};
    const std::array<std::int64_t, 2> right = {b.low, b.high};
    std::array<std::int64_t, 4> ends{};
    for (std::size_t i = 0; i < 4; ++i) {
      if (!fits(op, left[i / 2], right[i % 2], ends[i])) return std::nullopt;
    }
    auto [low, high] = std::ranges::minmax(ends);
    made.kinds = Type::kInteger;
    made.low = low;
    made.high = high;
  }
  if (a.can_be(Type::kFraction) || b.can_be(Type::kFraction)) {
    double x = size_of(a);
    double y = size_of(b);
    made.most = op == SqlArithmetic::kMultiply ? x * y : x + y;
    if (!std::isfinite(made.most)) return std::nullopt;
    made.kinds = static_cast<std::uint16_t>(made.kinds | Type::kFraction);
  }
  return made;
}

}  // namespace sluice
