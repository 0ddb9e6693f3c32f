// Decimal arithmetic for `multipleOf`: exact on the digits as they are written.
#pragma once

#include <cstdint>
#include <optional>

#include "data/value.h"

namespace sluice::json_schema {

// A positive number as mantissa times a power of ten, the mantissa without trailing zeros.
struct Divisor {
  std::uint64_t mantissa = 1;
  std::int64_t exponent = 0;
};
// nullopt when the number is not positive or has more than 18 significant digits.
std::optional<Divisor> make_divisor(const Value& number);
bool is_multiple(const Value& number, const Divisor& divisor);

}  // namespace sluice::json_schema
