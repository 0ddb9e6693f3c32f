#include "engine/token_text.h"

#include <algorithm>
#include <cstdint>

namespace sluice {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

enum class Utf8 : std::uint8_t { kWhole, kCut, kBroken };

// Judges the character that `bytes` begins with; `length` is what to take.
Utf8 judge(std::string_view bytes, std::size_t& length) {
  auto at = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); };
  std::uint8_t lead = at(0);
  length = 1;
  if (lead < 0x80) return Utf8::kWhole;
  std::size_t need = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4) return Utf8::kBroken;
  std::uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  std::uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (std::size_t i = 1; i < need; ++i) {
    if (i >= bytes.size()) return Utf8::kCut;
    if (at(i) < low || at(i) > high) return Utf8::kBroken;
    low = 0x80;
    high = 0xBF;
    length = i + 1;
  }
  return Utf8::kWhole;
}

// The longest end of `text` that begins `stop` without being all of it.
std::size_t begun(std::string_view text, std::string_view stop) {
  std::size_t most = std::min(text.size(), stop.size() - 1);
  for (std::size_t length = most; length > 0; --length) {
    if (text.ends_with(stop.substr(0, length))) return length;
  }
  return 0;
}

}  // namespace

TokenText::TokenText(std::vector<std::string> stop) : stop_(std::move(stop)) {
  std::erase_if(stop_, [](const std::string& text) { return text.empty(); });
}

void TokenText::decode(bool last) {
  std::size_t used = 0;
  while (used < raw_.size()) {
    std::size_t length = 1;
    std::string_view rest = std::string_view(raw_).substr(used);
    Utf8 verdict = judge(rest, length);
    if (verdict == Utf8::kCut && !last) break;
    held_ += verdict == Utf8::kWhole ? rest.substr(0, length) : kReplacement;
    used += length;
  }
  raw_.erase(0, used);
}

std::string TokenText::release(std::size_t bytes) {
  std::string out = held_.substr(0, bytes);
  held_.erase(0, bytes);
  text_ += out;
  return out;
}

std::string TokenText::push(std::string_view bytes) {
  if (stopped_) return {};
  raw_ += bytes;
  decode(false);
  std::size_t found = std::string::npos;
  for (const std::string& stop : stop_) found = std::min(found, held_.find(stop));
  if (found != std::string::npos) {
    stopped_ = true;
    std::string out = release(found);
    held_.clear();
    raw_.clear();
    return out;
  }
  std::size_t hold = 0;
  for (const std::string& stop : stop_) hold = std::max(hold, begun(held_, stop));
  return release(held_.size() - hold);
}

std::string TokenText::finish() {
  if (stopped_) return {};
  decode(true);
  return release(held_.size());
}

}  // namespace sluice
