#include "plan/diagnostic.h"

#include <algorithm>
#include <numeric>
#include <tuple>

#include "fmt/format.h"

namespace sluice {

void Diagnostics::error(ErrorCode code, SourcePos pos, std::string message) {
  all_.push_back({code, Severity::kError, pos, std::move(message)});
  ++errors_;
}

void Diagnostics::warning(ErrorCode code, SourcePos pos, std::string message) {
  all_.push_back({code, Severity::kWarning, pos, std::move(message)});
}

void Diagnostics::sort() {
  std::vector<std::size_t> order(all_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [&](std::size_t i) {
    const SourcePos& pos = all_[i].pos;
    return std::tuple(pos.file, pos.line, pos.column, i);
  });
  std::vector<Diagnostic> kept;
  kept.reserve(all_.size());
  for (std::size_t i : order) {
    Diagnostic& next = all_[i];
    // Repeats share a position, so they lie close together.
    bool repeated = false;
    for (auto earlier = kept.rbegin();
         earlier != kept.rend() && earlier->pos == next.pos && !repeated; ++earlier) {
      repeated = earlier->code == next.code && earlier->severity == next.severity &&
                 earlier->message == next.message;
    }
    if (!repeated) kept.push_back(std::move(next));
  }
  all_ = std::move(kept);
  errors_ = static_cast<std::size_t>(std::count_if(
      all_.begin(), all_.end(), [](const auto& d) { return d.severity == Severity::kError; }));
}

std::string format_diagnostic(const Diagnostic& diagnostic, const std::vector<std::string>& files) {
  const SourcePos& pos = diagnostic.pos;
  std::string_view file = pos.file < files.size() ? std::string_view(files[pos.file]) : "plan";
  std::string place =
      pos.known() ? fmt::format("{}:{}:{}", file, pos.line, pos.column) : std::string(file);
  return fmt::format("{}: {} {}: {}", place,
                     diagnostic.severity == Severity::kError ? "error" : "warning",
                     error_code_info(diagnostic.code).name, diagnostic.message);
}

}  // namespace sluice
