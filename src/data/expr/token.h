// The tokens of a plan string: literal text, `{{ }}`, `{% %}` and what stands between. Lexing also
// applies Jinja's whitespace rules (trim_blocks, lstrip_blocks, the - and + marks), so that what
// follows sees only text as it will be printed. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/expr.h"

namespace sluice::expr {

enum class Tok : std::uint8_t {
  kEnd,
  kText,  // literal text, whitespace rules applied
  kOutputBegin,
  kOutputEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kDot,
  kComma,
  kColon,
  kPipe,
  kTilde,
  kAssign,
  kPlus,
  kMinus,
  kStar,
  kSlash,
  kDoubleSlash,
  kPercent,
  kPower,
  kEq,
  kNe,
  kLt,
  kLe,
  kGt,
  kGe,
  kLeftParen,
  kRightParen,
  kLeftBracket,
  kRightBracket,
  kLeftBrace,
  kRightBrace,
};

struct Token {
  Tok kind = Tok::kEnd;
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
  std::uint32_t string = 0;  // kString, kText: index into Lexed::strings
};

struct Lexed {
  std::vector<Token> tokens;  // ends with kEnd
  std::vector<std::string> strings;
  std::vector<ExprError> errors;
  // The whole string, trimmed, is one {{ }}: it keeps its JSON type.
  bool single = false;
};

// `text` is valid UTF-8 and holds `{{` or `{%`.
Lexed lex(std::string_view text);
bool has_markup(std::string_view text);

// "`and`", "`}}`", "the end": how a message names a token.
std::string token_words(std::string_view text, const Token& token);

}  // namespace sluice::expr
