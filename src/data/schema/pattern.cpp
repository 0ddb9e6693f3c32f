#include "data/schema/pattern.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <array>
#include <optional>
#include <utility>

namespace sluice::json_schema {
namespace {

// Inside square brackets, as ECMA has it: \s with all of Unicode's white space, and the rest.
constexpr std::string_view kSpace =
    R"(\t-\r \x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}\x{FEFF})";
constexpr std::string_view kNotSpace =
    R"(\x{0}-\x{8}\x{E}-\x{1F}\x{21}-\x{9F}\x{A1}-\x{167F}\x{1681}-\x{1FFF}\x{200B}-\x{2027})"
    R"(\x{202A}-\x{202E}\x{2030}-\x{205E}\x{2060}-\x{2FFF}\x{3001}-\x{FEFE}\x{FF00}-\x{10FFFF})";
constexpr std::string_view kAnything = R"([\x{0}-\x{10FFFF}])";
constexpr std::string_view kNothing = R"([^\x{0}-\x{10FFFF}])";
constexpr std::string_view kDot = R"([^\n\r\x{2028}\x{2029}])";

// Names that ECMA allows for general categories, beside the short ones that RE2 knows.
constexpr std::array<std::pair<std::string_view, std::string_view>, 42> kCategories = {{
    {"Letter", "L"},
    {"Cased_Letter", "LC"},
    {"Uppercase_Letter", "Lu"},
    {"Lowercase_Letter", "Ll"},
    {"Titlecase_Letter", "Lt"},
    {"Modifier_Letter", "Lm"},
    {"Other_Letter", "Lo"},
    {"Mark", "M"},
    {"Combining_Mark", "M"},
    {"Nonspacing_Mark", "Mn"},
    {"Spacing_Mark", "Mc"},
    {"Enclosing_Mark", "Me"},
    {"Number", "N"},
    {"Decimal_Number", "Nd"},
    {"digit", "Nd"},
    {"Letter_Number", "Nl"},
    {"Other_Number", "No"},
    {"Punctuation", "P"},
    {"punct", "P"},
    {"Connector_Punctuation", "Pc"},
    {"Dash_Punctuation", "Pd"},
    {"Open_Punctuation", "Ps"},
    {"Close_Punctuation", "Pe"},
    {"Initial_Punctuation", "Pi"},
    {"Final_Punctuation", "Pf"},
    {"Other_Punctuation", "Po"},
    {"Symbol", "S"},
    {"Math_Symbol", "Sm"},
    {"Currency_Symbol", "Sc"},
    {"Modifier_Symbol", "Sk"},
    {"Other_Symbol", "So"},
    {"Separator", "Z"},
    {"Space_Separator", "Zs"},
    {"Line_Separator", "Zl"},
    {"Paragraph_Separator", "Zp"},
    {"Other", "C"},
    {"Control", "Cc"},
    {"cntrl", "Cc"},
    {"Format", "Cf"},
    {"Surrogate", "Cs"},
    {"Private_Use", "Co"},
    {"Unassigned", "Cn"},
}};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

class Translator {
 public:
  explicit Translator(std::string_view text) : text_(text) {}

  Result<std::string> translate() {
    while (!problem_ && at_ < text_.size()) {
      char c = text_[at_];
      if (c == '\\') {
        escape(false);
      } else if (c == '[') {
        character_class();
      } else if (c == '(') {
        group();
      } else if (c == '.') {
        ++at_;
        out_ += kDot;
      } else {
        ++at_;
        out_ += c;
      }
    }
    if (problem_) return std::unexpected(*problem_);
    return std::move(out_);
  }

 private:
  void unsupported(std::string_view what) {
    if (problem_) return;
    problem_ = Error(ErrorCode::kSchemaUnsupported,
                     fmt::format("the pattern uses {}, which RE2 patterns do not have", what));
  }
  void invalid(std::string_view what) {
    if (problem_) return;
    problem_ = Error(ErrorCode::kSchemaInvalid, fmt::format("the pattern has {}", what));
  }

  bool next_is(std::string_view ahead) const { return text_.substr(at_).starts_with(ahead); }

  void group() {
    if (next_is("(?=") || next_is("(?!")) return unsupported("look-ahead");
    if (next_is("(?<=") || next_is("(?<!")) return unsupported("look-behind");
    if (next_is("(?<")) {
      std::size_t end = text_.find('>', at_);
      if (end == std::string_view::npos) return invalid("a group name without an end");
      at_ = end + 1;  // a name changes nothing about what matches
      out_ += "(?:";
    } else if (next_is("(?:")) {
      at_ += 3;
      out_ += "(?:";
    } else if (next_is("(?")) {
      invalid("(? without :, = or !");
    } else {
      ++at_;
      out_ += "(?:";
    }
  }

  void character_class() {
    if (next_is("[]")) {
      at_ += 2;
      out_ += kNothing;
      return;
    }
    if (next_is("[^]")) {
      at_ += 3;
      out_ += kAnything;
      return;
    }
    out_ += '[';
    ++at_;
    if (next_is("^")) {
      out_ += '^';
      ++at_;
    }
    while (!problem_) {
      if (at_ >= text_.size()) return invalid("a [ without its ]");
      char c = text_[at_];
      if (c == ']') break;
      if (c == '\\') {
        escape(true);
        continue;
      }
      // RE2 would read [: as the start of a named class.
      if (c == '[') out_ += '\\';
      out_ += c;
      ++at_;
    }
    out_ += ']';
    ++at_;
  }

  void code_point(std::uint32_t point) {
    if (point > 0x10FFFF) return invalid("a character beyond U+10FFFF");
    if (point >= 0xD800 && point <= 0xDFFF) return unsupported("half of a surrogate pair");
    out_ += fmt::format("\\x{{{:X}}}", point);
  }

  // Exactly `digits` hexadecimal digits at at_, or nullopt; moves on.
  std::optional<std::uint32_t> hex(std::size_t digits) {
    std::uint32_t number = 0;
    if (at_ + digits > text_.size()) return std::nullopt;
    for (std::size_t i = 0; i < digits; ++i) {
      char c = text_[at_ + i];
      std::uint32_t digit = 0;
      if (is_digit(c)) {
        digit = static_cast<std::uint32_t>(c - '0');
      } else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')) {
        digit = static_cast<std::uint32_t>((c | 32) - 'a') + 10;
      } else {
        return std::nullopt;
      }
      number = number * 16 + digit;
    }
    at_ += digits;
    return number;
  }

  void unicode_escape() {
    if (next_is("{")) {
      std::size_t end = text_.find('}', at_);
      std::size_t digits = end == std::string_view::npos ? 0 : end - at_ - 1;
      ++at_;
      auto point = digits >= 1 && digits <= 8 ? hex(digits) : std::nullopt;
      if (!point) return invalid("\\u{ without a hexadecimal number and }");
      ++at_;
      return code_point(*point);
    }
    auto unit = hex(4);
    if (!unit) return invalid("\\u without four hexadecimal digits");
    if (*unit >= 0xD800 && *unit <= 0xDBFF && next_is("\\u")) {
      std::size_t before = at_;
      at_ += 2;
      auto low = hex(4);
      if (low && *low >= 0xDC00 && *low <= 0xDFFF) {
        return code_point(0x10000 + ((*unit - 0xD800) << 10) + (*low - 0xDC00));
      }
      at_ = before;
    }
    code_point(*unit);
  }

  void property_escape(char letter) {
    std::size_t end = text_.find('}', at_);
    if (!next_is("{") || end == std::string_view::npos) return invalid("\\p without {name}");
    std::string_view name = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    for (std::string_view prefix : {"General_Category=", "gc=", "Script=", "sc="}) {
      if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
    }
    for (const auto& [known, category] : kCategories) {
      if (name == known) name = category;
    }
    // "LC" and "Cn" stand in no table of RE2; a script or category it does not know fails there.
    std::string translated = fmt::format("\\{}{{{}}}", letter, name);
    if (!re2::RE2(translated, re2::RE2::Quiet).ok()) {
      return unsupported(fmt::format("the character property {}", name));
    }
    out_ += translated;
  }

  void letter_escape(char c, bool in_class) {
    switch (c) {
      case 'd':
      case 'D':
      case 'w':
      case 'W':
      case 't':
      case 'n':
      case 'r':
      case 'v':
      case 'f':
        out_ += '\\';
        out_ += c;
        return;
      case 'b':
      case 'B':
        if (in_class && c == 'b') {
          out_ += "\\x{8}";
        } else if (in_class) {
          invalid("\\B inside [ ]");
        } else {
          out_ += '\\';
          out_ += c;
        }
        return;
      case 's':
      case 'S': {
        std::string_view set = c == 's' ? kSpace : kNotSpace;
        out_ += in_class ? std::string(set) : "[" + std::string(set) + "]";
        return;
      }
      case 'c':
        if (at_ < text_.size() && is_letter(text_[at_])) {
          return code_point(static_cast<std::uint32_t>(text_[at_++]) & 31U);
        }
        return invalid("\\c without a letter");
      case 'x':
        if (auto point = hex(2)) return code_point(*point);
        return invalid("\\x without two hexadecimal digits");
      case 'u':
        return unicode_escape();
      case 'p':
      case 'P':
        return property_escape(c);
      case 'k':
        return unsupported("a back reference");
      default:
        return invalid(fmt::format("\\{}, which ECMA-262 does not have", c));
    }
  }

  void escape(bool in_class) {
    ++at_;
    if (at_ >= text_.size()) return invalid("a \\ at its end");
    char c = text_[at_++];
    if (c == '0' && !(at_ < text_.size() && is_digit(text_[at_]))) return code_point(0);
    if (is_digit(c)) return unsupported("a back reference");
    if (is_letter(c)) return letter_escape(c, in_class);
    if (static_cast<unsigned char>(c) < 0x80 && c > ' ' && c != '_') out_ += '\\';
    out_ += c;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::string out_;
  std::optional<Error> problem_;
};

}  // namespace

Result<std::string> translate_pattern(std::string_view ecma) {
  return Translator(ecma).translate();
}

Result<Pattern> Pattern::compile(std::string_view ecma) {
  auto translated = translate_pattern(ecma);
  if (!translated) return std::unexpected(translated.error());
  re2::RE2::Options options(re2::RE2::Quiet);
  options.set_never_capture(true);
  Pattern pattern;
  pattern.source_ = std::string(ecma);
  pattern.compiled_ = std::make_shared<const re2::RE2>(*translated, options);
  if (!pattern.compiled_->ok()) {
    auto code = pattern.compiled_->error_code();
    bool too_large = code == re2::RE2::ErrorPatternTooLarge || code == re2::RE2::ErrorRepeatSize;
    return fail(too_large ? ErrorCode::kSchemaUnsupported : ErrorCode::kSchemaInvalid,
                fmt::format("the pattern {} cannot be used: {}", ecma, pattern.compiled_->error()));
  }
  return pattern;
}

bool Pattern::matches(std::string_view text) const {
  return re2::RE2::PartialMatch({text.data(), text.size()}, *compiled_);
}

}  // namespace sluice::json_schema
