// Expressions with other names in them: what optimizer passes make of what a user wrote.
#include <algorithm>

#include "data/expr/parser.h"
#include "data/expr/printer.h"
#include "data/expr/token.h"

namespace sluice {
namespace {

using expr::Lexed;
using expr::Substitute;
using expr::Tok;
using expr::Token;

constexpr std::string_view kOpen = "{{ ";

bool opens(Tok kind) {
  return kind == Tok::kLeftParen || kind == Tok::kLeftBracket || kind == Tok::kLeftBrace;
}
bool closes(Tok kind) {
  return kind == Tok::kRightParen || kind == Tok::kRightBracket || kind == Tok::kRightBrace;
}

// Whether the tokens are one operand: a name or a literal, and what stands right behind it.
bool one_operand(std::span<const Token> tokens, std::string_view text) {
  int depth = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    Tok kind = tokens[i].kind;
    if (closes(kind)) --depth;
    if (depth == 0 && !closes(kind)) {
      bool name = kind == Tok::kName;
      bool first = i == 0 && (opens(kind) || kind == Tok::kString || kind == Tok::kInteger ||
                              (name && !expr::is_keyword(text.substr(
                                           tokens[i].begin, tokens[i].end - tokens[i].begin))));
      bool behind = i > 0 && (kind == Tok::kDot || kind == Tok::kLeftBracket ||
                              (name && tokens[i - 1].kind == Tok::kDot));
      if (!first && !behind) return false;
    }
    if (opens(kind)) ++depth;
  }
  return !tokens.empty();
}

// nullopt: the text is no single expression.
std::optional<Substitute> substitute_of(const std::string& expression) {
  std::string text = std::string(kOpen) + expression + " }}";
  if (!valid_utf8(text)) return std::nullopt;
  Lexed lexed = expr::lex(text);
  if (!lexed.errors.empty() || !lexed.single) return std::nullopt;
  // Without the tag's own begin and end, and the end of all (and blanks around the tag, if any).
  auto from = std::ranges::find(lexed.tokens, Tok::kOutputBegin, &Token::kind);
  auto to = std::ranges::find(from, lexed.tokens.end(), Tok::kOutputEnd, &Token::kind);
  if (from == lexed.tokens.end() || to == lexed.tokens.end()) return std::nullopt;
  std::span<const Token> tokens(std::next(from), to);
  Substitute made;
  made.text = expression;
  made.postfix = one_operand(tokens, text);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    bool free = i == 0 || (tokens[i - 1].kind != Tok::kDot && tokens[i - 1].kind != Tok::kPipe);
    if (tokens[i].kind != Tok::kName || !free) continue;
    made.names.push_back(text.substr(tokens[i].begin, tokens[i].end - tokens[i].begin));
  }
  return made;
}

}  // namespace

std::optional<std::string> Expr::to_string_with(
    std::span<const std::optional<std::string>> replacements) const {
  std::vector<std::optional<Substitute>> substitutes(replacements.size());
  for (std::size_t i = 0; i < replacements.size(); ++i) {
    if (!replacements[i]) continue;
    substitutes[i] = substitute_of(*replacements[i]);
    if (!substitutes[i]) return std::nullopt;
  }
  return expr::print_with(*program_, substitutes);
}

std::vector<std::string> Expr::conjuncts() const { return expr::print_conjuncts(*program_); }

}  // namespace sluice
