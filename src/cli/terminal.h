// What the two output streams are and how to write to them: colour and redrawing only where a
// person looks, results without loss, and no fuss when the reader of a pipe has gone. The main
// thread only.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace sluice::cli {

struct Terminal {
  bool interactive = false;  // a terminal that can redraw
  bool color = false;        // and NO_COLOR is not set
  int columns() const;       // of now; 80 when unknown
  int descriptor = 2;
};
Terminal terminal_of(int descriptor);

enum class Ink { kBold, kRed, kYellow, kGreen, kCyan, kDim };
// The text in that ink where the terminal shows colour.
std::string painted(const Terminal& terminal, Ink ink, std::string_view text);

// All of it, or kIo / kDiskFull. A reader that went away is no error: the rest is dropped.
Result<void> write_out(std::string_view text);
// For people; failures are ignored.
void write_err(std::string_view text);
// Text from outside without control characters that would steer the terminal.
std::string harmless(std::string_view text);

}  // namespace sluice::cli
