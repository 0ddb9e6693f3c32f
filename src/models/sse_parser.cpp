#include "models/sse_parser.h"

#include <utility>

namespace sluice {

SseParser::SseParser(std::function<void(std::string_view)> on_event)
    : on_event_(std::move(on_event)) {}

void SseParser::push(std::string_view bytes) {
  for (char c : bytes) {
    bool skip = c == '\n' && after_cr_;
    after_cr_ = c == '\r';
    if (skip) continue;
    if (c == '\n' || c == '\r') {
      line(std::exchange(line_, {}));
    } else {
      line_ += c;
    }
  }
}

void SseParser::line(std::string_view text) {
  if (text.empty()) {
    if (has_data_) on_event_(std::exchange(data_, {}));
    has_data_ = false;
    return;
  }
  auto colon = text.find(':');
  if (text.substr(0, colon) != "data") return;  // comments, event names, ids, retry
  std::string_view value = colon == std::string_view::npos ? "" : text.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (has_data_) data_ += '\n';
  data_ += value;
  has_data_ = true;
}

}  // namespace sluice
