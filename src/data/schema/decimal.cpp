#include "data/schema/decimal.h"

#include <charconv>
#include <string>

namespace sluice::json_schema {
namespace {

__extension__ using Wide = unsigned __int128;

struct Decimal {
  std::string digits;  // no leading or trailing zeros; empty for zero
  std::int64_t exponent = 0;
  bool negative = false;
};

Decimal decimal_of(const Value& number) {
  std::string text;
  if (number.is_int()) {
    text = std::to_string(number.as_int());
  } else if (number.kind() == Value::Kind::kBigInt) {
    text = number.as_string();
  } else {
    char buffer[64];
    auto result = std::to_chars(buffer, buffer + sizeof buffer, number.as_double(),
                                std::chars_format::scientific);
    text.assign(buffer, result.ptr);
  }
  Decimal decimal;
  std::string_view rest = text;
  if (rest.starts_with('-')) {
    decimal.negative = true;
    rest.remove_prefix(1);
  }
  if (auto e = rest.find('e'); e != std::string_view::npos) {
    std::string_view power = rest.substr(e + 1);
    if (power.starts_with('+')) power.remove_prefix(1);
    std::from_chars(power.data(), power.data() + power.size(), decimal.exponent);
    rest = rest.substr(0, e);
  }
  bool behind_point = false;
  for (char c : rest) {
    if (c == '.') {
      behind_point = true;
    } else {
      if (behind_point) --decimal.exponent;
      if (c != '0' || !decimal.digits.empty()) decimal.digits += c;
    }
  }
  while (decimal.digits.ends_with('0')) {
    decimal.digits.pop_back();
    ++decimal.exponent;
  }
  if (decimal.digits.empty()) decimal.exponent = 0;
  return decimal;
}

}  // namespace

std::optional<Divisor> make_divisor(const Value& number) {
  Decimal decimal = decimal_of(number);
  if (decimal.negative || decimal.digits.empty() || decimal.digits.size() > 18) return std::nullopt;
  Divisor divisor;
  std::from_chars(decimal.digits.data(), decimal.digits.data() + decimal.digits.size(),
                  divisor.mantissa);
  divisor.exponent = decimal.exponent;
  return divisor;
}

bool is_multiple(const Value& number, const Divisor& divisor) {
  if (number.is_int() && divisor.exponent == 0) {
    return number.as_int() % static_cast<std::int64_t>(divisor.mantissa) == 0;
  }
  Decimal decimal = decimal_of(number);
  if (decimal.digits.empty()) return true;
  // The quotient would need a power of ten that the digits, which end in no zero, do not have.
  if (decimal.exponent < divisor.exponent) return false;
  Wide remainder = 0;
  for (char c : decimal.digits) {
    remainder = (remainder * 10 + static_cast<unsigned>(c - '0')) % divisor.mantissa;
  }
  // Times 10^(difference), by squaring.
  Wide base = 10 % divisor.mantissa;
  for (auto power = static_cast<std::uint64_t>(decimal.exponent - divisor.exponent); power > 0;
       power >>= 1) {
    if ((power & 1) != 0) remainder = remainder * base % divisor.mantissa;
    base = base * base % divisor.mantissa;
  }
  return remainder == 0;
}

}  // namespace sluice::json_schema
