// Numbers as text. Pure functions of src/data only.
#pragma once

#include <string>
#include <string_view>

namespace sluice {

// ECMAScript's Number::toString of a finite number, which RFC 8785 prescribes: the shortest digits
// that give the same number back.
void append_ecmascript_number(std::string& out, double number);
void append_ecmascript_number(std::string& out, float number);

// The exact decimal digits of a finite number that has no fraction.
std::string exact_integer_digits(double integral);

// Compares decimal integers without leading zeros: -1, 0 or 1.
int compare_digits(std::string_view a, std::string_view b);

}  // namespace sluice
