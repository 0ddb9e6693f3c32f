// JSON out: the canonical form, text for people, previews. Without recursion.
#include <algorithm>
#include <cmath>

#include "data/json.h"
#include "data/number_text.h"

namespace sluice {
namespace {

using Kind = Value::Kind;
constexpr std::string_view kSecretText = "[secret]";
constexpr std::size_t kNoLimit = static_cast<std::size_t>(-1);

// RFC 8785 sorts names by UTF-16 code units. UTF-8 bytes sort alike, except that characters beyond
// U+FFFF (lead bytes F0 to F4, surrogates in UTF-16) come before U+E000 to U+FFFF (EE and EF).
bool before_in_utf16(std::string_view a, std::string_view b) {
  auto [x, y] = std::ranges::mismatch(a, b);
  if (x == a.end() || y == b.end()) return x == a.end() && y != b.end();
  auto left = static_cast<unsigned char>(*x);
  auto right = static_cast<unsigned char>(*y);
  if (left >= 0xEE && right >= 0xEE && (left >= 0xF0) != (right >= 0xF0)) return left >= 0xF0;
  return left < right;
}

class Writer {
 public:
  struct Style {
    bool canonical = false;
    bool redact = false;
    int indent = 0;
    std::size_t max_bytes = kNoLimit;  // writing stops soon after
  };
  explicit Writer(const Style& style) : style_(style) {}

  std::string write(const Value& value) {
    begin(value);
    while (!open_.empty() && out_.size() <= style_.max_bytes) next();
    return std::move(out_);
  }

 private:
  struct Frame {
    const Value* value;
    std::size_t next = 0;
    std::vector<const Value::Member*> sorted;  // canonical objects only
  };

  void begin(const Value& value);
  void next();
  void newline() {
    if (style_.indent <= 0) return;
    out_ += '\n';
    out_.append(open_.size() * static_cast<std::size_t>(style_.indent), ' ');
  }
  void text(std::string_view text);
  void number(double number);
  void blob(const Value& value);
  void vector(std::span<const float> numbers);
  void open(const Value& value);

  Style style_;
  std::string out_;
  std::vector<Frame> open_;
};

void Writer::text(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  if (style_.max_bytes != kNoLimit) text = text.substr(0, style_.max_bytes + 1);
  out_ += '"';
  std::size_t start = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto byte = static_cast<unsigned char>(text[i]);
    if (byte >= 0x20 && byte != '"' && byte != '\\') [[likely]]
      continue;
    out_.append(text, start, i - start);
    start = i + 1;
    out_ += '\\';
    switch (byte) {
      case '"':
        out_ += '"';
        break;
      case '\\':
        out_ += '\\';
        break;
      case '\b':
        out_ += 'b';
        break;
      case '\t':
        out_ += 't';
        break;
      case '\n':
        out_ += 'n';
        break;
      case '\f':
        out_ += 'f';
        break;
      case '\r':
        out_ += 'r';
        break;
      default:
        out_ += "u00";
        out_ += kHex[byte >> 4];
        out_ += kHex[byte & 15];
    }
  }
  out_.append(text, start);
  out_ += '"';
}

void Writer::number(double number) {
  std::size_t start = out_.size();
  append_ecmascript_number(out_, number);
  // Outside the canonical form a double shows that it is one, so that it is read back as one.
  if (!style_.canonical && out_.find_first_of(".e", start) == std::string::npos) out_ += ".0";
}

void Writer::blob(const Value& value) {
  std::string_view space = style_.indent > 0 ? " " : "";
  out_.append("{\"$blob\":").append(space).append("{\"media_type\":").append(space);
  text(value.blob_media_type());
  out_.append(",").append(space).append("\"sha256\":").append(space).append("\"");
  out_.append(value.blob_hash().hex())
      .append("\",")
      .append(space)
      .append("\"size\":")
      .append(space);
  out_.append(std::to_string(value.blob_size())).append("}}");
}

void Writer::vector(std::span<const float> numbers) {
  out_ += style_.indent > 0 ? "{\"$vector\": [" : "{\"$vector\":[";
  std::string_view separator;
  for (float number : numbers) {
    if (out_.size() > style_.max_bytes) break;
    out_ += separator;
    separator = ",";
    if (std::isfinite(number)) {
      append_ecmascript_number(out_, number);
    } else {
      out_ += "null";  // JSON has no other word for it
    }
  }
  out_ += "]}";
}

void Writer::open(const Value& value) {
  out_ += value.is_array() ? '[' : '{';
  if (value.size() == 0) {
    out_ += value.is_array() ? ']' : '}';
    return;
  }
  Frame frame{&value, 0, {}};
  if (style_.canonical && value.is_object()) {
    frame.sorted.reserve(value.members().size());
    for (const auto& member : value.members()) frame.sorted.push_back(&member);
    std::ranges::sort(frame.sorted, [](const auto* a, const auto* b) {
      return before_in_utf16(a->first, b->first);
    });
  }
  open_.push_back(std::move(frame));
}

void Writer::begin(const Value& value) {
  if (style_.redact && value.labels().secret && !value.secret_only_inside()) {
    text(kSecretText);
    return;
  }
  switch (value.kind()) {
    case Kind::kNull:
      out_ += "null";
      return;
    case Kind::kBool:
      out_ += value.as_bool() ? "true" : "false";
      return;
    case Kind::kInt:
      out_ += std::to_string(value.as_int());
      return;
    case Kind::kBigInt:
      out_ += value.as_string();
      return;
    case Kind::kDouble:
      number(value.as_double());
      return;
    case Kind::kString:
      text(value.as_string());
      return;
    case Kind::kBlob:
      blob(value);
      return;
    case Kind::kVector:
      vector(value.floats());
      return;
    case Kind::kArray:
    case Kind::kObject:
      open(value);
      return;
  }
}

void Writer::next() {
  Frame& frame = open_.back();
  bool array = frame.value->is_array();
  if (frame.next == frame.value->size()) {
    open_.pop_back();
    newline();
    out_ += array ? ']' : '}';
    return;
  }
  std::size_t i = frame.next++;
  if (i > 0) out_ += ',';
  newline();
  if (array) {
    begin(frame.value->items()[i]);
    return;
  }
  const auto& member = style_.canonical ? *frame.sorted[i] : frame.value->members()[i];
  text(member.first);
  out_ += style_.indent > 0 ? ": " : ":";
  begin(member.second);
}

}  // namespace

std::string canonical_json(const Value& value) { return Writer({.canonical = true}).write(value); }

Hash256 content_hash(const Value& value) { return sha256(canonical_json(value)); }

std::string to_json(const Value& value, const JsonFormat& format) {
  return Writer({.redact = format.redact_secrets, .indent = format.indent}).write(value);
}

std::string preview(const Value& value, std::size_t max_bytes) {
  constexpr std::string_view kCut = "...";
  std::string text = Writer({.redact = true, .max_bytes = max_bytes}).write(value);
  if (text.size() <= max_bytes) return text;
  std::size_t keep = max_bytes > kCut.size() ? max_bytes - kCut.size() : 0;
  // Never in the middle of a character.
  while (keep > 0 && (static_cast<unsigned char>(text[keep]) & 0xC0U) == 0x80U) --keep;
  text.resize(keep);
  text += kCut.substr(0, max_bytes);
  return text;
}

}  // namespace sluice
