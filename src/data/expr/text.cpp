#include "data/expr/text.h"

#include <locale.h>

#include <clocale>
#include <cwchar>
#include <cwctype>

namespace sluice::expr {
namespace {

// Made once and never freed: threads may still use it while the process ends.
locale_t unicode_locale() {
  static const locale_t locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  return locale;
}

template <class Map>
std::string map_text(std::string_view text, Map map) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) append_utf8(out, map(next_code_point(text, at)));
  return out;
}

}  // namespace

std::size_t utf8_length(std::string_view text, std::size_t at) {
  auto lead = static_cast<unsigned char>(text[at]);
  std::size_t length = lead < 0x80 ? 1 : lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  return at + length > text.size() ? 1 : length;
}

void append_utf8(std::string& out, char32_t code) {
  auto push = [&](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    push(code);
  } else if (code < 0x800) {
    push(0xC0 | (code >> 6));
    push(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    push(0xE0 | (code >> 12));
    push(0x80 | ((code >> 6) & 0x3F));
    push(0x80 | (code & 0x3F));
  } else {
    push(0xF0 | (code >> 18));
    push(0x80 | ((code >> 12) & 0x3F));
    push(0x80 | ((code >> 6) & 0x3F));
    push(0x80 | (code & 0x3F));
  }
}

char32_t next_code_point(std::string_view text, std::size_t& at) {
  std::size_t length = utf8_length(text, at);
  auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[at + i]); };
  char32_t code = byte(0);
  if (length == 2) code = code & 0x1F;
  if (length == 3) code = code & 0x0F;
  if (length == 4) code = code & 0x07;
  for (std::size_t i = 1; i < length; ++i) code = (code << 6) | (byte(i) & 0x3F);
  at += length;
  return code;
}

std::size_t count_code_points(std::string_view text) {
  std::size_t count = 0;
  for (char c : text) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return count;
}

std::size_t find_invalid_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    auto lead = static_cast<unsigned char>(text[at]);
    if (lead < 0x80) {
      ++at;
      continue;
    }
    std::size_t length = utf8_length(text, at);
    if (lead < 0xC2 || lead > 0xF4 || length < 2) return at;
    for (std::size_t i = 1; i < length; ++i) {
      if ((static_cast<unsigned char>(text[at + i]) & 0xC0) != 0x80) return at;
    }
    std::size_t start = at;
    char32_t code = next_code_point(text, at);
    constexpr char32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
    if (code < kLeast[length] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
      return start;
    }
  }
  return std::string_view::npos;
}

std::string cut(std::string_view text, std::size_t max_bytes) {
  if (text.size() <= max_bytes) return std::string(text);
  std::size_t end = max_bytes > 3 ? max_bytes - 3 : 0;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return std::string(text.substr(0, end)) + "...";
}

char32_t to_upper(char32_t code) {
  if (code < 0x80) return code >= 'a' && code <= 'z' ? code - 32 : code;
  if (unicode_locale() == locale_t{}) return code;
  return static_cast<char32_t>(towupper_l(static_cast<wint_t>(code), unicode_locale()));
}

char32_t to_lower(char32_t code) {
  if (code < 0x80) return code >= 'A' && code <= 'Z' ? code + 32 : code;
  if (unicode_locale() == locale_t{}) return code;
  return static_cast<char32_t>(towlower_l(static_cast<wint_t>(code), unicode_locale()));
}

std::string upper(std::string_view text) { return map_text(text, to_upper); }
std::string lower(std::string_view text) { return map_text(text, to_lower); }

bool is_unicode_space(char32_t code) {
  if (code < 0x80)
    return code == ' ' || (code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x1F);
  return code == 0x85 || code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) ||
         code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

bool is_unicode_word(char32_t code) {
  if (code < 0x80) {
    return (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z') ||
           (code >= '0' && code <= '9') || code == '_';
  }
  return unicode_locale() != locale_t{} &&
         iswalnum_l(static_cast<wint_t>(code), unicode_locale()) != 0;
}

std::vector<std::string_view> split_whitespace(std::string_view text, std::size_t max_splits) {
  std::vector<std::string_view> parts;
  std::size_t at = 0;
  while (at < text.size()) {
    std::size_t begin = at;
    if (is_unicode_space(next_code_point(text, at))) continue;
    std::size_t end = text.size();
    if (parts.size() == max_splits) {
      for (std::size_t next = begin; next < text.size();) {
        if (!is_unicode_space(next_code_point(text, next))) end = next;
      }
      parts.push_back(text.substr(begin, end - begin));
      break;
    }
    for (std::size_t next = at; next < text.size(); at = next) {
      if (is_unicode_space(next_code_point(text, next))) {
        end = at;
        at = next;
        break;
      }
    }
    parts.push_back(text.substr(begin, end - begin));
    if (end == text.size()) break;
  }
  return parts;
}

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = at;
    char32_t code = next_code_point(text, at);
    bool breaks = (code >= 0x0A && code <= 0x0D) || (code >= 0x1C && code <= 0x1E) ||
                  code == 0x85 || code == 0x2028 || code == 0x2029;
    if (!breaks) continue;
    if (code == '\r' && at < text.size() && text[at] == '\n') ++at;
    lines.push_back(text.substr(begin, end - begin));
    begin = at;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

}  // namespace sluice::expr
