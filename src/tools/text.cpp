#include "tools/text.h"

#include "data/value.h"

namespace sluice {
namespace {

bool blank(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

std::string_view trimmed(std::string_view bytes) {
  while (!bytes.empty() && blank(bytes.front())) bytes.remove_prefix(1);
  while (!bytes.empty() && blank(bytes.back())) bytes.remove_suffix(1);
  return bytes;
}

bool continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

std::string printable(std::string_view bytes) {
  std::string result;
  while (!bytes.empty()) {
    std::size_t valid = utf8_valid_prefix(bytes);
    for (char c : bytes.substr(0, valid)) {
      bool control = static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
      result.push_back(control ? ' ' : c);
    }
    bytes.remove_prefix(valid);
    if (!bytes.empty()) {
      result += "\uFFFD";
      bytes.remove_prefix(1);
    }
  }
  return result;
}

}  // namespace

std::string one_line(std::string_view bytes, std::size_t max_bytes) {
  bytes = trimmed(bytes);
  if (bytes.size() <= max_bytes) return printable(bytes);
  bytes.remove_prefix(bytes.size() - max_bytes);
  while (!bytes.empty() && continuation(bytes.front())) bytes.remove_prefix(1);
  return "..." + printable(bytes);
}

std::string one_line_start(std::string_view bytes, std::size_t max_bytes) {
  bytes = trimmed(bytes);
  if (bytes.size() <= max_bytes) return printable(bytes);
  std::size_t size = max_bytes;
  while (size > 0 && continuation(bytes[size])) --size;
  return printable(bytes.substr(0, size)) + "...";
}

}  // namespace sluice
