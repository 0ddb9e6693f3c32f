#include "cli/messages.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "host/files/read_file.h"

namespace sluice::cli {
namespace {

constexpr std::size_t kLongestLine = 400;

std::string place_text(SourcePos pos, const std::vector<std::string>& files) {
  const std::string file = pos.file < files.size() ? files[pos.file] : "";
  if (!pos.known()) return file.empty() ? "" : file + ": ";
  return fmt::format("{}:{}:{}: ", file, pos.line, pos.column);
}

std::string label(ErrorCode code, Severity severity, const Terminal& terminal) {
  const bool error = severity == Severity::kError;
  return painted(terminal, error ? Ink::kRed : Ink::kYellow,
                 fmt::format("{} {}", error ? "error" : "warning", error_code_info(code).name));
}

// The line and, below the column, a caret. Tabs stay tabs so that the caret lines up.
std::string caret_text(const std::string& line, std::uint32_t column, const Terminal& terminal) {
  std::string blank;
  for (std::size_t i = 0; i + 1 < column && i < line.size(); ++i) {
    const auto byte = static_cast<unsigned char>(line[i]);
    if ((byte & 0xC0) != 0x80) blank.push_back(line[i] == '\t' ? '\t' : ' ');
  }
  return fmt::format("    {}\n    {}{}\n", harmless(line), blank,
                     painted(terminal, Ink::kRed, "^"));
}

}  // namespace

std::string SourceLines::line(const std::string& file, std::uint32_t number) {
  auto found = texts_.find(file);
  if (found == texts_.end()) {
    auto text = file == "-" ? Result<std::string>("") : read_file(file, kMaxPlanBytes);
    found = texts_.emplace(file, text ? std::move(*text) : "").first;
  }
  std::string_view rest = found->second;
  for (std::uint32_t skip = 1; skip < number; ++skip) {
    std::size_t end = rest.find('\n');
    if (end == std::string_view::npos) return "";
    rest.remove_prefix(end + 1);
  }
  std::string line(rest.substr(0, rest.find('\n')));
  if (line.ends_with('\r')) line.pop_back();
  return line.size() > kLongestLine ? "" : line;
}

std::string diagnostics_text(const Diagnostics& findings, const std::vector<std::string>& files,
                             SourceLines& sources, const Terminal& terminal) {
  std::string text;
  std::set<std::string_view> codes;
  for (const Diagnostic& finding : findings.all()) {
    text += fmt::format("{}{}: {}\n", place_text(finding.pos, files),
                        label(finding.code, finding.severity, terminal), harmless(finding.message));
    codes.insert(error_code_info(finding.code).name);
    if (!terminal.interactive || !finding.pos.known() || finding.pos.file >= files.size()) continue;
    const std::string line = sources.line(files[finding.pos.file], finding.pos.line);
    if (!line.empty()) text += caret_text(line, finding.pos.column, terminal);
  }
  std::string pages;
  for (std::string_view code : codes) pages += fmt::format(" docs/errors/{}.md", code);
  if (!codes.empty() && codes.size() <= 4)
    text += painted(terminal, Ink::kDim, "read more:" + pages) + "\n";
  return text;
}

std::string error_text(const Error& error, const std::vector<std::string>& files,
                       const Terminal& terminal) {
  std::string text =
      fmt::format("{}{}: {}\n", error.pos().known() ? place_text(error.pos(), files) : "",
                  label(error.code(), Severity::kError, terminal), harmless(error.message()));
  for (const Error* cause = error.cause(); cause != nullptr; cause = cause->cause()) {
    text += fmt::format("  because {}: {}\n", cause->name(), harmless(cause->message()));
  }
  return text;
}

void print_error(const Error& error) {
  const Terminal terminal = terminal_of(2);
  write_err(error_text(error, {}, terminal));
  if (error.code() != ErrorCode::kUsage) {
    write_err(
        painted(terminal, Ink::kDim, fmt::format("read more: docs/errors/{}.md", error.name())) +
        "\n");
  }
}

ExitCode end_with(const Error& error) {
  print_error(error);
  return exit_code_of(error);
}

ExitCode print_text(std::string_view text) {
  auto written = write_out(text);
  return written ? kGood : end_with(written.error());
}

std::string shell_word(std::string_view text) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=@%+,";
  if (!text.empty() && text.find_first_not_of(kPlain) == std::string_view::npos) {
    return std::string(text);
  }
  std::string quoted = "'";
  for (char c : text) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

std::string plural(std::uint64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::string counts_text(const Diagnostics& findings) {
  const auto errors = static_cast<std::uint64_t>(
      std::ranges::count(findings.all(), Severity::kError, &Diagnostic::severity));
  const std::uint64_t warnings = findings.all().size() - errors;
  if (warnings == 0) return plural(errors, "error");
  if (errors == 0) return plural(warnings, "warning");
  return plural(errors, "error") + ", " + plural(warnings, "warning");
}

}  // namespace sluice::cli
