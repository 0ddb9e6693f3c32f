// Checking UTF-8, eight ASCII bytes at a time.
#include <cstring>

#include "data/value.h"

namespace sluice {
namespace {

bool continuation(unsigned char byte) { return (byte & 0xC0U) == 0x80U; }

// Length of the well-formed character at `bytes` (not ASCII), or 0.
std::size_t character_length(const unsigned char* bytes, std::size_t left) {
  unsigned char lead = bytes[0];
  if (lead < 0xC2 || lead > 0xF4) return 0;
  std::size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (left < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if (!continuation(bytes[i])) return 0;
  }
  // Overlong forms, surrogates and what lies beyond U+10FFFF show in the second byte.
  if (lead == 0xE0 && bytes[1] < 0xA0) return 0;
  if (lead == 0xED && bytes[1] > 0x9F) return 0;
  if (lead == 0xF0 && bytes[1] < 0x90) return 0;
  if (lead == 0xF4 && bytes[1] > 0x8F) return 0;
  return length;
}

}  // namespace

std::size_t utf8_valid_prefix(std::string_view text) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  std::size_t at = 0;
  while (at < text.size()) {
    std::uint64_t word = 0;
    while (text.size() - at >= sizeof word) {
      std::memcpy(&word, bytes + at, sizeof word);
      if ((word & 0x8080808080808080U) != 0) break;
      at += sizeof word;
    }
    while (at < text.size() && bytes[at] < 0x80) ++at;
    while (at < text.size() && bytes[at] >= 0x80) {
      std::size_t length = character_length(bytes + at, text.size() - at);
      if (length == 0) return at;
      at += length;
    }
  }
  return text.size();
}

bool valid_utf8(std::string_view bytes) { return utf8_valid_prefix(bytes) == bytes.size(); }

}  // namespace sluice
