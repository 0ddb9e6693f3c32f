// From the bytes of tokens to text that may be shown: always valid UTF-8, never a part of a stop
// string. Owned by one request; one thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sluice {

class TokenText {
 public:
  // Empty stop strings are ignored.
  explicit TokenText(std::vector<std::string> stop);

  // Adds the bytes of one token; returns the text that is certain now (maybe empty).
  std::string push(std::string_view bytes);
  // No more tokens: returns what was held back.
  std::string finish();
  bool stopped() const { return stopped_; }  // a stop string was seen; the text ends before it
  const std::string& text() const { return text_; }  // all that was returned so far

 private:
  std::string release(std::size_t bytes);
  void decode(bool last);

  std::vector<std::string> stop_;
  std::string raw_;   // bytes that are not a whole character yet
  std::string held_;  // valid UTF-8 that may begin a stop string
  std::string text_;
  bool stopped_ = false;
};

}  // namespace sluice
