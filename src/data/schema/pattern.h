// ECMA-262 regular expressions, which JSON Schema uses, as RE2. What RE2 cannot do (look-around,
// back references) is refused by name, never approximated.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"

namespace re2 {
class RE2;
}

namespace sluice::json_schema {

// The same expression in RE2's syntax. kSchemaInvalid: not a regular expression;
// kSchemaUnsupported: one that RE2 cannot do.
Result<std::string> translate_pattern(std::string_view ecma);

// Compiled; matches anywhere in the text, as JSON Schema has it. Any thread may match with it.
class Pattern {
 public:
  static Result<Pattern> compile(std::string_view ecma);
  bool matches(std::string_view text) const;
  const std::string& source() const { return source_; }

 private:
  std::string source_;
  std::shared_ptr<const re2::RE2> compiled_;
};

}  // namespace sluice::json_schema
