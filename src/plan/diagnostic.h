// Findings about a plan, with a place each. All findings are reported at once.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"

namespace sluice {

enum class Severity : std::uint8_t { kError, kWarning };

struct Diagnostic {
  ErrorCode code;
  Severity severity = Severity::kError;
  SourcePos pos;
  std::string message;  // one sentence, no full stop, with what to do
};

class Diagnostics {
 public:
  void error(ErrorCode code, SourcePos pos, std::string message);
  void warning(ErrorCode code, SourcePos pos, std::string message);
  bool has_errors() const { return errors_ > 0; }
  const std::vector<Diagnostic>& all() const { return all_; }
  void sort();  // by file, line, column; stable; exact repeats removed

 private:
  std::vector<Diagnostic> all_;
  std::size_t errors_ = 0;
};

// "FILE:3:18: error KEY_UNKNOWN: no key wiht; did you mean with?"
std::string format_diagnostic(const Diagnostic& diagnostic, const std::vector<std::string>& files);

}  // namespace sluice
