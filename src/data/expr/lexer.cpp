#include <cstddef>
#include <string>
#include <string_view>

#include "data/expr/text.h"
#include "data/expr/token.h"
#include "fmt/format.h"

namespace sluice::expr {
namespace {

constexpr std::string_view kSpace = " \t\r\n\f\v";

bool is_space(char c) { return kSpace.find(c) != std::string_view::npos; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name_part(char c) { return is_name_start(c) || is_digit(c); }

struct Punctuation {
  std::string_view text;
  Tok kind;
};
// Longer ones first.
constexpr Punctuation kPunctuation[] = {
    {"**", Tok::kPower},      {"//", Tok::kDoubleSlash}, {"==", Tok::kEq},
    {"!=", Tok::kNe},         {"<=", Tok::kLe},          {">=", Tok::kGe},
    {".", Tok::kDot},         {",", Tok::kComma},        {":", Tok::kColon},
    {"|", Tok::kPipe},        {"~", Tok::kTilde},        {"=", Tok::kAssign},
    {"+", Tok::kPlus},        {"-", Tok::kMinus},        {"*", Tok::kStar},
    {"/", Tok::kSlash},       {"%", Tok::kPercent},      {"<", Tok::kLt},
    {">", Tok::kGt},          {"(", Tok::kLeftParen},    {")", Tok::kRightParen},
    {"[", Tok::kLeftBracket}, {"]", Tok::kRightBracket}, {"{", Tok::kLeftBrace},
    {"}", Tok::kRightBrace},
};

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  Lexed run() {
    while (at_ < text_.size() && ok_) template_piece();
    add(Tok::kEnd, text_.size(), text_.size());
    out_.single = ok_ && !plain_ && outputs_ == 1;
    return std::move(out_);
  }

 private:
  void template_piece() {
    std::size_t tag = at_;
    for (;; ++tag) {
      tag = text_.find('{', tag);
      if (tag == std::string_view::npos) tag = text_.size();
      if (tag + 1 >= text_.size()) tag = text_.size();
      if (tag == text_.size()) break;
      char kind = text_[tag + 1];
      if (kind == '{' || kind == '%' || kind == '#') break;
    }
    if (tag == text_.size()) {
      text(at_, tag);
      at_ = tag;
      return;
    }
    char mark = tag + 2 < text_.size() ? text_[tag + 2] : '\0';
    text(at_, stripped_end(at_, tag, text_[tag + 1], mark));
    at_ = tag;
    if (text_[tag + 1] == '{') return output(mark);
    if (text_[tag + 1] == '#') return comment();
    block(mark);
  }

  // Where literal text ends before a tag, after `{%-` and lstrip_blocks.
  std::size_t stripped_end(std::size_t begin, std::size_t tag, char kind, char mark) const {
    std::size_t end = tag;
    if (mark == '-') {
      while (end > begin && is_space(text_[end - 1])) --end;
      return end;
    }
    if (kind == '{' || mark == '+') return tag;
    while (end > begin && is_space(text_[end - 1]) && text_[end - 1] != '\n') --end;
    bool line_start = end > begin ? text_[end - 1] == '\n' : line_starting_;
    return line_start ? end : tag;
  }

  void text(std::size_t begin, std::size_t end) {
    if (begin == end) return;
    std::string_view piece = text_.substr(begin, end - begin);
    if (piece.find_first_not_of(kSpace) != std::string_view::npos) plain_ = true;
    out_.strings.emplace_back(piece);
    add(Tok::kText, begin, end);
    out_.tokens.back().string = static_cast<std::uint32_t>(out_.strings.size() - 1);
  }

  void output(char mark) {
    std::size_t begin = at_;
    at_ += 2;
    if (mark == '-') {
      ++at_;
      if (at_ < text_.size() && !is_space(text_[at_])) {
        return error(begin,
                     "{{- strips the text before it; write {{ -x for a minus, or {{- x with a "
                     "space to strip");
      }
    }
    ++outputs_;
    add(Tok::kOutputBegin, begin, at_);
    tag_tokens(begin, "}}");
    line_starting_ = false;
  }

  void comment() {
    std::size_t end = text_.find("#}", at_ + 2);
    if (end == std::string_view::npos) return error(at_, "a comment {# without #}");
    bool strip = end > at_ + 2 && text_[end - 1] == '-';
    bool keep = end > at_ + 2 && text_[end - 1] == '+';
    plain_ = true;
    at_ = end + 2;
    after_block(strip, keep);
  }

  void block(char mark) {
    std::size_t begin = at_;
    plain_ = true;
    at_ += mark == '-' || mark == '+' ? 3 : 2;
    std::size_t word = at_;
    while (word < text_.size() && is_space(text_[word])) ++word;
    if (text_.substr(word, 3) == "raw" && raw(begin, word + 3)) return;
    add(Tok::kBlockBegin, begin, at_);
    tag_tokens(begin, "%}");
  }

  // `{% raw %}`: everything up to `{% endraw %}` is text. False when the tag is not that.
  bool raw(std::size_t begin, std::size_t at) {
    while (at < text_.size() && is_space(text_[at])) ++at;
    bool strip = text_.substr(at, 1) == "-";
    if (text_.substr(at + (strip ? 1 : 0), 2) != "%}") return false;
    at += strip ? 3 : 2;
    while (strip && at < text_.size() && is_space(text_[at])) ++at;
    line_starting_ = false;
    for (std::size_t tag = at;; tag += 2) {
      tag = text_.find("{%", tag);
      if (tag == std::string_view::npos) {
        error(begin, "{% raw %} without {% endraw %}");
        return true;
      }
      std::size_t next = tag + 2;
      char mark = next < text_.size() ? text_[next] : '\0';
      if (mark == '-' || mark == '+') ++next;
      while (next < text_.size() && is_space(text_[next])) ++next;
      if (text_.substr(next, 6) != "endraw") continue;
      next += 6;
      while (next < text_.size() && is_space(text_[next])) ++next;
      char close = next < text_.size() ? text_[next] : '\0';
      if (close == '-' || close == '+') ++next;
      if (text_.substr(next, 2) != "%}") continue;
      text(at, stripped_end(at, tag, '%', mark));
      at_ = next + 2;
      after_block(close == '-', close == '+');
      return true;
    }
  }

  // trim_blocks and `-%}`.
  void after_block(bool strip, bool keep) {
    line_starting_ = false;
    if (strip) {
      while (at_ < text_.size() && is_space(text_[at_])) {
        line_starting_ = text_[at_] == '\n';
        ++at_;
      }
    } else if (!keep) {
      std::size_t newline = text_.substr(at_, 1) == "\r" ? at_ + 1 : at_;
      if (newline < text_.size() && text_[newline] == '\n') {
        at_ = newline + 1;
        line_starting_ = true;
      }
    }
  }

  // The tokens of one tag, up to and with its end.
  void tag_tokens(std::size_t begin, std::string_view close) {
    brackets_.clear();
    while (ok_) {
      while (at_ < text_.size() && is_space(text_[at_])) ++at_;
      if (at_ >= text_.size()) {
        return error(begin, fmt::format("{} without {}", close == "}}" ? "{{" : "{%", close));
      }
      if (tag_end(close)) return;
      token();
    }
  }

  bool tag_end(std::string_view close) {
    bool output = close == "}}";
    if (output && !brackets_.empty() && brackets_.back() == '{') return false;
    std::size_t end = at_;
    char mark = text_[end];
    if (mark == '-' || (mark == '+' && !output))
      ++end;
    else
      mark = '\0';
    if (text_.substr(end, 2) != close) return false;
    add(output ? Tok::kOutputEnd : Tok::kBlockEnd, at_, end + 2);
    at_ = end + 2;
    if (!output) {
      after_block(mark == '-', mark == '+');
    } else if (mark == '-') {
      while (at_ < text_.size() && is_space(text_[at_])) ++at_;
    }
    return true;
  }

  void token() {
    char c = text_[at_];
    std::size_t begin = at_;
    if (is_name_start(c)) {
      while (at_ < text_.size() && is_name_part(text_[at_])) ++at_;
      return add(Tok::kName, begin, at_);
    }
    if (is_digit(c)) return number();
    if (c == '"' || c == '\'') return string(c);
    for (const Punctuation& mark : kPunctuation) {
      if (text_.substr(at_, mark.text.size()) != mark.text) continue;
      at_ += mark.text.size();
      track_bracket(mark.kind);
      return add(mark.kind, begin, at_);
    }
    std::size_t length = utf8_length(text_, at_);
    std::string what(text_.substr(at_, length));
    if (static_cast<unsigned char>(c) < 0x20) what = fmt::format("\\x{:02x}", c);
    error(at_,
          static_cast<unsigned char>(c) >= 0x80
              ? fmt::format("`{0}` cannot stand in a name; write it as a string: x[\"{0}\"]", what)
              : fmt::format("`{}` means nothing in an expression", what));
  }

  void track_bracket(Tok kind) {
    if (kind == Tok::kLeftParen) brackets_.push_back('(');
    if (kind == Tok::kLeftBracket) brackets_.push_back('[');
    if (kind == Tok::kLeftBrace) brackets_.push_back('{');
    bool closes =
        kind == Tok::kRightParen || kind == Tok::kRightBracket || kind == Tok::kRightBrace;
    if (closes && !brackets_.empty()) brackets_.pop_back();
  }

  void number() {
    std::size_t begin = at_;
    Tok kind = Tok::kInteger;
    digits();
    if (at_ + 1 < text_.size() && text_[at_] == '.' && is_digit(text_[at_ + 1])) {
      kind = Tok::kFloat;
      ++at_;
      digits();
    }
    if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
      std::size_t exponent = at_ + 1;
      if (exponent < text_.size() && (text_[exponent] == '+' || text_[exponent] == '-')) ++exponent;
      if (exponent < text_.size() && is_digit(text_[exponent])) {
        kind = Tok::kFloat;
        at_ = exponent;
        digits();
      }
    }
    if (at_ < text_.size() && is_name_part(text_[at_])) {
      return error(begin,
                   fmt::format("`{}` is not a number", text_.substr(begin, at_ + 1 - begin)));
    }
    add(kind, begin, at_);
  }

  void digits() {
    while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
  }

  void string(char quote) {
    std::size_t begin = at_++;
    std::string value;
    while (at_ < text_.size() && text_[at_] != quote) {
      if (text_[at_] == '\\') {
        if (!escape(value)) return;
      } else {
        value.push_back(text_[at_++]);
      }
    }
    if (at_ >= text_.size())
      return error(begin, fmt::format("a string without its closing {}", quote));
    ++at_;
    out_.strings.push_back(std::move(value));
    add(Tok::kString, begin, at_);
    out_.tokens.back().string = static_cast<std::uint32_t>(out_.strings.size() - 1);
  }

  // As in Python: an escape that does not exist keeps its backslash ('\d' is two characters).
  bool escape(std::string& value) {
    std::size_t begin = at_;
    char c = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
    constexpr std::string_view kFrom = "\\'\"ntrbfav/";
    constexpr std::string_view kTo = "\\'\"\n\t\r\b\f\a\v/";
    std::size_t simple = c == '\0' ? std::string_view::npos : kFrom.find(c);
    if (simple != std::string_view::npos) {
      value.push_back(kTo[simple]);
      at_ += 2;
      return true;
    }
    std::size_t width = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    at_ += width == 0 ? 1 : 2;
    if (width == 0) {
      value.push_back('\\');
      return true;
    }
    char32_t code = 0;
    bool good = hex(width, code);
    if (good && code >= 0xD800 && code < 0xDC00 && text_.substr(at_, 2) == "\\u") {
      char32_t low = 0;
      at_ += 2;
      good = hex(4, low) && low >= 0xDC00 && low < 0xE000;
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    if (!good || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
      error(begin, fmt::format("`{}` is not a character", text_.substr(begin, at_ - begin)));
      return false;
    }
    append_utf8(value, code);
    return true;
  }

  bool hex(std::size_t width, char32_t& code) {
    for (std::size_t i = 0; i < width; ++i) {
      char c = at_ < text_.size() ? text_[at_] : '\0';
      int digit = is_digit(c)            ? c - '0'
                  : c >= 'a' && c <= 'f' ? c - 'a' + 10
                  : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                         : -1;
      if (digit < 0) return false;
      code = code * 16 + static_cast<char32_t>(digit);
      ++at_;
    }
    return true;
  }

  void add(Tok kind, std::size_t begin, std::size_t end) {
    out_.tokens.push_back(
        {kind, static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end), 0});
  }

  void error(std::size_t offset, std::string message) {
    ok_ = false;
    out_.errors.push_back({ErrorCode::kExprSyntax, std::move(message), offset});
  }

  std::string_view text_;
  std::size_t at_ = 0;
  Lexed out_;
  std::string brackets_;
  int outputs_ = 0;
  bool plain_ = false;  // there is something beside one {{ }}
  bool line_starting_ = true;
  bool ok_ = true;
};

}  // namespace

Lexed lex(std::string_view text) { return Lexer(text).run(); }

bool has_markup(std::string_view text) {
  return text.find("{{") != std::string_view::npos || text.find("{%") != std::string_view::npos;
}

std::string token_words(std::string_view text, const Token& token) {
  if (token.kind == Tok::kEnd) return "the end";
  if (token.kind == Tok::kText) return "text";
  return fmt::format("`{}`", text.substr(token.begin, token.end - token.begin));
}

}  // namespace sluice::expr
