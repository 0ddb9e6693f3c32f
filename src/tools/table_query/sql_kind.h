// What is known of the values that an SQL expression can have: which kinds, and how large. Pure.
#pragma once

#include <cstdint>
#include <optional>

#include "data/type.h"
#include "data/value.h"

namespace sluice {

struct SqlKind {
  std::uint16_t kinds = 0;  // of kNull, kBoolean, kInteger (integers), kFraction (floats), kString
  std::int64_t low = 0;     // of the integers
  std::int64_t high = 0;
  double most = 0;     // of the floats without their signs
  bool plain = true;   // strings: ASCII without a NUL
  bool no_nul = true;  // strings: without a NUL

  bool is(std::uint16_t wanted) const { return (kinds & ~wanted) == 0; }
  bool can_be(std::uint16_t wanted) const { return (kinds & wanted) != 0; }
  // Only one of: booleans, numbers, strings. With or without null.
  bool one_group() const;

  // False: a value that has no like in SQL.
  bool add(const Value& value);
  void add(const SqlKind& other);

  static SqlKind boolean();
  static SqlKind length();
};

// Whether the two can be compared with = and mean the same by it, and with < and can be.
bool same_equality(const SqlKind& a, const SqlKind& b);
bool same_order(const SqlKind& a, const SqlKind& b);

// Of a sum, a difference, a product of numbers. nullopt: one of them might not fit.
enum class SqlArithmetic : std::uint8_t { kAdd, kSubtract, kMultiply };
std::optional<SqlKind> kind_of(SqlArithmetic op, const SqlKind& a, const SqlKind& b);

}  // namespace sluice
