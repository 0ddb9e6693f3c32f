// Server-sent events (the HTML standard's format) from bytes that arrive in any pieces. Only the
// data of events is kept. One thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace sluice {

class SseParser {
 public:
  // Called with the data of every whole event, its lines joined by line feeds.
  explicit SseParser(std::function<void(std::string_view data)> on_event);
  void push(std::string_view bytes);

 private:
  void line(std::string_view text);

  std::function<void(std::string_view)> on_event_;
  std::string line_;
  std::string data_;
  bool has_data_ = false;
  bool after_cr_ = false;  // a line feed right after a carriage return ends no second line
};

}  // namespace sluice
