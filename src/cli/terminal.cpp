#include "cli/terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace sluice::cli {
namespace {

bool set_in_environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0';
}

// The number of the error that ended it; 0 when all is written.
int write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    ssize_t count = ::write(descriptor, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return 0;
}

std::string_view code_of(Ink ink) {
  switch (ink) {
    case Ink::kBold:
      return "1";
    case Ink::kRed:
      return "1;31";
    case Ink::kYellow:
      return "1;33";
    case Ink::kGreen:
      return "32";
    case Ink::kCyan:
      return "36";
    case Ink::kDim:
      return "2";
  }
  return "0";
}

}  // namespace

int Terminal::columns() const {
  winsize size{};
  if (::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

Terminal terminal_of(int descriptor) {
  Terminal terminal;
  terminal.descriptor = descriptor;
  const char* kind = std::getenv("TERM");
  const bool dumb = kind != nullptr && std::string_view(kind) == "dumb";
  terminal.interactive = ::isatty(descriptor) == 1 && !dumb;
  terminal.color = terminal.interactive && !set_in_environment("NO_COLOR");
  return terminal;
}

std::string painted(const Terminal& terminal, Ink ink, std::string_view text) {
  if (!terminal.color) return std::string(text);
  return fmt::format("\x1b[{}m{}\x1b[0m", code_of(ink), text);
}

Result<void> write_out(std::string_view text) {
  static bool reader_gone = false;
  if (reader_gone) return {};
  const int reason = write_all(1, text);
  if (reason == EPIPE) reader_gone = true;
  if (reason == 0 || reason == EPIPE) return {};
  const ErrorCode code =
      reason == ENOSPC || reason == EDQUOT ? ErrorCode::kDiskFull : ErrorCode::kIo;
  return fail(code, fmt::format("cannot write to standard output: {}", std::strerror(reason)));
}

void write_err(std::string_view text) { write_all(2, text); }

std::string harmless(std::string_view text) {
  std::string clean;
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7F) {
      clean.push_back(c);
    } else if (c == '\n' || c == '\t') {
      clean.push_back(c);
    } else {
      clean += fmt::format("\\x{:02x}", byte);
    }
  }
  return clean;
}

}  // namespace sluice::cli
