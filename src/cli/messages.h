// How errors and findings look: FILE:LINE:COLUMN: error CODE: message, the line of the plan with a
// caret on a terminal, the cause chain, and where to read more. Pure but for reading plan files.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cli/exit_code.h"
#include "cli/terminal.h"
#include "plan/diagnostic.h"

namespace sluice::cli {

// Lines of plan texts, for carets. Files that were not given are read when they are first needed.
class SourceLines {
 public:
  void add(std::string file, std::string text) { texts_[std::move(file)] = std::move(text); }
  // "" when unknown or unreasonably long.
  std::string line(const std::string& file, std::uint32_t number);

 private:
  std::map<std::string, std::string> texts_;
};

std::string diagnostics_text(const Diagnostics& findings, const std::vector<std::string>& files,
                             SourceLines& sources, const Terminal& terminal);
// An error with its causes, each on a line; `files` may be empty.
std::string error_text(const Error& error, const std::vector<std::string>& files,
                       const Terminal& terminal);
// To standard error.
void print_error(const Error& error);
// The same, and what the process ends with.
ExitCode end_with(const Error& error);
// To standard output; says what kept it from there.
ExitCode print_text(std::string_view text);
// "2 errors, 1 warning".
std::string counts_text(const Diagnostics& findings);
// As a shell takes it: quoted where it must be.
std::string shell_word(std::string_view text);
// "1 step", "2 steps"
std::string plural(std::uint64_t count, std::string_view noun);

}  // namespace sluice::cli
