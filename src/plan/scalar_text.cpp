// Scalars of the plan's text: what plain text stands for, and where each byte of a string came
// from.
#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>

#include "plan/text_tree.h"

namespace sluice {
namespace {

bool digits_only(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

// [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?
bool float_form(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  std::size_t exponent = text.find_first_of("eE");
  if (exponent != std::string_view::npos) {
    std::string_view power = text.substr(exponent + 1);
    if (power.starts_with('-') || power.starts_with('+')) power.remove_prefix(1);
    if (!digits_only(power)) return false;
    text = text.substr(0, exponent);
  }
  std::size_t dot = text.find('.');
  if (dot == std::string_view::npos) return digits_only(text);
  std::string_view whole = text.substr(0, dot);
  std::string_view part = text.substr(dot + 1);
  if (whole.empty()) return digits_only(part);
  return digits_only(whole) && (part.empty() || digits_only(part));
}

Value decimal_integer(std::string_view text) {
  bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  std::size_t first = text.find_first_not_of('0');
  std::string digits(first == std::string_view::npos ? "0" : text.substr(first));
  return Value::big_integer(negative && digits != "0" ? "-" + digits : digits);
}

std::optional<Value> based_integer(std::string_view text) {
  int base = text.starts_with("0x") ? 16 : text.starts_with("0o") ? 8 : 0;
  if (base == 0 || text.size() == 2) return std::nullopt;
  std::int64_t number = 0;
  auto [rest, error] = std::from_chars(text.data() + 2, text.data() + text.size(), number, base);
  if (error != std::errc() || rest != text.data() + text.size()) return std::nullopt;
  return Value::integer(number);
}

bool one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::ranges::find(words, text) != words.end();
}

bool space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::size_t code_point_bytes(char lead) {
  auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

// Walks the source and the text of a scalar side by side.
class Aligner {
 public:
  Aligner(std::string_view source, std::size_t begin, std::size_t end, std::string_view text,
          const LineTable& lines)
      : source_(source), text_(text), at_(begin), end_(end), lines_(lines) {}

  std::vector<TextMark> flow(ScalarStyle style) {
    mark();
    while (out_ < text_.size() && at_ < end_ && flow_step(style)) {
    }
    return std::move(marks_);
  }

  std::vector<TextMark> block() {
    skip_spaces();
    out_ = std::min(text_.find_first_not_of(" \t\r\n"), text_.size());
    mark();
    while (out_ < text_.size() && at_ < end_) {
      if (space(text_[out_]) && space(source_[at_])) {
        skip_spaces();
        while (out_ < text_.size() && space(text_[out_])) ++out_;
        mark();
      } else if (!same_byte()) {
        break;
      }
    }
    return std::move(marks_);
  }

 private:
  void mark() { marks_.push_back({out_, lines_.at(at_)}); }
  void skip_spaces() {
    while (at_ < end_ && space(source_[at_])) ++at_;
  }
  bool same_byte() {
    if (source_[at_] != text_[out_]) return false;
    ++at_;
    ++out_;
    return true;
  }

  bool flow_step(ScalarStyle style) {
    char c = source_[at_];
    if (style == ScalarStyle::kDouble && c == '\\') return escape();
    if (style == ScalarStyle::kSingle && c == '\'') {
      at_ += 2;
      ++out_;
      mark();
      return true;
    }
    if (space(c) && fold()) return true;
    return same_byte();
  }

  // A run of blanks with a line end in it: one space, or one line end less than there are.
  bool fold() {
    std::size_t stop = at_;
    std::size_t line_ends = 0;
    while (stop < end_ && space(source_[stop])) line_ends += source_[stop++] == '\n' ? 1 : 0;
    if (line_ends == 0) return false;
    at_ = stop;
    out_ += line_ends == 1 ? 1 : line_ends - 1;
    out_ = std::min(out_, text_.size());
    mark();
    return true;
  }

  bool escape() {
    if (at_ + 1 >= end_) return false;
    char kind = source_[at_ + 1];
    if (kind == '\n' || kind == '\r') {  // the line goes on: nothing comes out
      ++at_;
      skip_spaces();
    } else {
      std::size_t length = kind == 'x' ? 4 : kind == 'u' ? 6 : kind == 'U' ? 10 : 2;
      std::size_t bytes = code_point_bytes(text_[out_]);
      bool pair = kind == 'u' && bytes == 4;  // two halves give one character
      at_ = std::min(at_ + (pair ? 12 : length), end_);
      out_ = std::min(out_ + bytes, text_.size());
    }
    mark();
    return true;
  }

  std::string_view source_;
  std::string_view text_;
  std::size_t at_;
  std::size_t end_;
  std::size_t out_ = 0;
  const LineTable& lines_;
  std::vector<TextMark> marks_;
};

}  // namespace

std::optional<Value> plain_scalar(std::string_view text) {
  if (one_of(text, {"", "~", "null", "Null", "NULL"})) return Value();
  if (one_of(text, {"true", "True", "TRUE"})) return Value::boolean(true);
  if (one_of(text, {"false", "False", "FALSE"})) return Value::boolean(false);
  std::string_view bare = text;
  if (bare.starts_with('-') || bare.starts_with('+')) bare.remove_prefix(1);
  if (one_of(bare, {".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN"})) return std::nullopt;
  if (digits_only(bare)) return decimal_integer(text);
  if (auto based = based_integer(text)) return based;
  if (float_form(text)) {
    std::string_view digits = text.starts_with('+') ? text.substr(1) : text;
    double number = 0;
    auto [rest, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error == std::errc::result_out_of_range) return std::nullopt;
    if (error == std::errc() && std::isfinite(number)) return Value::number(number);
  }
  return Value::string(text);
}

std::vector<TextMark> align_scalar(std::string_view source, std::size_t begin, std::size_t end,
                                   std::string_view text, ScalarStyle style,
                                   const LineTable& lines) {
  Aligner aligner(source, begin, std::min(end, source.size()), text, lines);
  return style == ScalarStyle::kBlock ? aligner.block() : aligner.flow(style);
}

LineTable::LineTable(std::string_view text, std::uint32_t file) : text_(text), file_(file) {
  starts_.push_back(0);
  for (std::size_t i = 0; i < text.size(); ++i) {
    bool line_end = text[i] == '\n' || (text[i] == '\r' && text.substr(i + 1, 1) != "\n");
    if (line_end) starts_.push_back(i + 1);
  }
}

SourcePos LineTable::at(std::size_t offset) const {
  auto after = std::ranges::upper_bound(starts_, offset);
  auto line = static_cast<std::uint32_t>(after - starts_.begin());
  return {file_, line, static_cast<std::uint32_t>(offset - starts_[line - 1] + 1)};
}

std::string_view LineTable::line(std::uint32_t number) const {
  if (number == 0 || number > starts_.size()) return {};
  std::size_t begin = starts_[number - 1];
  std::size_t end = number < starts_.size() ? starts_[number] : text_.size();
  std::string_view line = text_.substr(begin, end - begin);
  while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace sluice
