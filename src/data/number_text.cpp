#include "data/number_text.h"

#include <charconv>
#include <cstdlib>

#include "base/ensure.h"
#include "data/value.h"

namespace sluice {
namespace {

template <class Number>
void append_number(std::string& out, Number number) {
  if (number == 0) {
    out += '0';  // minus zero too
    return;
  }
  char scientific[64];
  auto [end, error] = std::to_chars(scientific, scientific + sizeof scientific, number,
                                    std::chars_format::scientific);
  SLUICE_ENSURE(error == std::errc(), "a number longer than its buffer");
  std::string_view text(scientific, static_cast<std::size_t>(end - scientific));
  if (text.front() == '-') {
    out += '-';
    text.remove_prefix(1);
  }
  std::size_t e = text.find('e');
  std::string digits(1, text[0]);
  if (e > 2) digits += text.substr(2, e - 2);
  int exponent = std::atoi(std::string(text.substr(e + 1)).c_str());
  int count = static_cast<int>(digits.size());
  int point = exponent + 1;  // where the decimal point stands in the digits
  if (count <= point && point <= 21) {
    out += digits;
    out.append(static_cast<std::size_t>(point - count), '0');
  } else if (0 < point && point <= 21) {
    out.append(digits, 0, static_cast<std::size_t>(point));
    out += '.';
    out.append(digits, static_cast<std::size_t>(point));
  } else if (-6 < point && point <= 0) {
    out += "0.";
    out.append(static_cast<std::size_t>(-point), '0');
    out += digits;
  } else {
    out += digits[0];
    if (count > 1) out.append(".").append(digits, 1);
    out += exponent < 0 ? "e-" : "e+";
    out += std::to_string(std::abs(exponent));
  }
}

constexpr double kTwoTo63 = 9223372036854775808.0;

int sign_of(std::string_view digits) { return digits.front() == '-' ? -1 : 1; }

int compare_int_double(std::int64_t a, double b) {
  if (b >= kTwoTo63) return -1;
  if (b < -kTwoTo63) return 1;
  auto whole = static_cast<std::int64_t>(b);
  if (a != whole) return a < whole ? -1 : 1;
  double fraction = b - static_cast<double>(whole);
  return fraction > 0 ? -1 : fraction < 0 ? 1 : 0;
}

int compare_big_double(std::string_view a, double b) {
  if (b < kTwoTo63 && b >= -kTwoTo63) return sign_of(a);
  return compare_digits(a, exact_integer_digits(b));
}

}  // namespace

void append_ecmascript_number(std::string& out, double number) { append_number(out, number); }
void append_ecmascript_number(std::string& out, float number) { append_number(out, number); }

std::string exact_integer_digits(double integral) {
  char text[400];
  auto [end, error] =
      std::to_chars(text, text + sizeof text, integral, std::chars_format::fixed, 0);
  SLUICE_ENSURE(error == std::errc(), "a number longer than its buffer");
  return {text, end};
}

int compare_digits(std::string_view a, std::string_view b) {
  bool negative = a.starts_with('-');
  if (negative != b.starts_with('-')) return negative ? -1 : 1;
  int larger = negative ? -1 : 1;
  if (a.size() != b.size()) return a.size() > b.size() ? larger : -larger;
  int order = a.compare(b);
  return order == 0 ? 0 : order > 0 ? larger : -larger;
}

int compare_numbers(const Value& a, const Value& b) {
  using Kind = Value::Kind;
  SLUICE_ENSURE(a.is_number() && b.is_number(), "compare_numbers of other kinds");
  if (a.kind() == Kind::kInt && b.kind() == Kind::kInt) {
    return a.as_int() < b.as_int() ? -1 : a.as_int() > b.as_int() ? 1 : 0;
  }
  if (a.kind() == Kind::kDouble && b.kind() == Kind::kDouble) {
    return a.as_double() < b.as_double() ? -1 : a.as_double() > b.as_double() ? 1 : 0;
  }
  if (a.kind() == Kind::kBigInt) {
    if (b.kind() == Kind::kBigInt) return compare_digits(a.as_string(), b.as_string());
    if (b.kind() == Kind::kInt) return sign_of(a.as_string());
    return compare_big_double(a.as_string(), b.as_double());
  }
  if (a.kind() == Kind::kInt && b.kind() == Kind::kDouble) {
    return compare_int_double(a.as_int(), b.as_double());
  }
  return -compare_numbers(b, a);
}

}  // namespace sluice
