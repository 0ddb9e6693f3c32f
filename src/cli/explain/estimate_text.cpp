#include "cli/explain/estimate_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "cli/numbers_text.h"

namespace sluice::cli {
namespace {

constexpr double kMostAmount = 1e15;
constexpr double kMostSeconds = 9e9;  // what fits nanoseconds of 64 bits
constexpr double kShortest = 1e-4;
constexpr double kNarrow = 0.02;  // a range within so much of its middle is not told

double bounded(double value, double most) {
  return std::isfinite(value) ? std::clamp(value, 0.0, most) : most;
}

bool told(const Estimate& estimate) {
  const double width = estimate.high - estimate.low;
  return std::isfinite(width) && width > kNarrow * std::max(estimate.middle, 1e-12);
}

std::string many(double amount, std::string_view noun) {
  const std::string number = amount_text(amount);
  return fmt::format("{} {}{}", number, noun, number == "1" ? "" : "s");
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) {
    if (!part.empty()) text += (text.empty() ? "" : ", ") + part;
  }
  return text;
}

}  // namespace

double seconds_of(std::int64_t ns) { return static_cast<double>(ns) / 1e9; }

std::string amount_text(double amount) {
  amount = bounded(amount, kMostAmount);
  const double whole = std::round(amount);
  if (amount < 9.95 && std::abs(amount - whole) >= 0.05) return fmt::format("{:.1f}", amount);
  return count_text(static_cast<std::uint64_t>(whole));
}

std::string length_text(double seconds) {
  seconds = bounded(seconds, kMostSeconds);
  if (seconds < kShortest) return "";
  return seconds_text(static_cast<std::int64_t>(std::llround(seconds * 1e9)));
}

std::string money_text(double usd) {
  return usd > 0 && std::isfinite(usd) ? fmt::format("{:.4f} usd", usd) : "";
}

std::string length_text(const Estimate& seconds) {
  const std::string middle = length_text(seconds.middle);
  if (middle.empty() || !told(seconds)) return middle;
  std::string low = length_text(seconds.low);
  if (low.empty()) low = "0 s";
  return fmt::format("{} ({} to {})", middle, low, length_text(seconds.high));
}

std::string amount_text(const Estimate& amount) {
  const std::string middle = amount_text(amount.middle);
  const std::string low = amount_text(amount.low), high = amount_text(amount.high);
  if (!told(amount) || low == high) return middle;
  return fmt::format("{} ({} to {})", middle, low, high);
}

std::string factor_text(double actual, double estimated) {
  if (!(actual > 0) || !(estimated > 0) || !std::isfinite(actual / estimated)) return "";
  const double factor = actual / estimated;
  if (factor < 0.995) return fmt::format("{:.2f}x", factor);
  if (factor < 9.95) return fmt::format("{:.1f}x", factor);
  return amount_text(factor) + "x";
}

Estimate total_tokens(const StepEstimate& step) {
  return step.calls * (step.prompt_tokens + step.completion_tokens);
}

std::vector<std::string> unknown_waits(const PlanEstimate& plan) {
  std::vector<std::string> ids;
  for (const StepEstimate& step : plan.steps) {
    if (step.unknown_wait) ids.push_back(step.id);
  }
  return ids;
}

std::string waits_text(const PlanEstimate& plan) {
  constexpr std::size_t kMostNamed = 3;
  const std::vector<std::string> ids = unknown_waits(plan);
  if (ids.empty()) return "";
  if (ids.size() > kMostNamed) return fmt::format("plus what {} steps wait for", ids.size());
  std::string names = ids.front();
  for (std::size_t i = 1; i < ids.size(); ++i) {
    names += (i + 1 == ids.size() ? " and " : ", ") + ids[i];
  }
  return fmt::format("plus what {} wait{} for", names, ids.size() == 1 ? "s" : "");
}

std::string source_text(const StepEstimate& step) {
  if (step.unknown_wait) return "unknown";
  const bool calls = step.busy_s.middle > 0 && step.calls.middle > 0;
  const Estimate rows = step.gives.value_or(step.rows);
  return std::string(estimate_source_name((calls ? rows + step.busy_s : rows).source));
}

std::string estimate_note(const StepEstimate& step) {
  const double tokens = total_tokens(step).middle;
  return joined({many(step.rows.middle, "row"), tokens >= 0.5 ? many(tokens, "token") : "",
                 length_text(step.busy_s.middle), money_text(step.usd.middle)});
}

std::string cached_text(const StepProfile& step) {
  if (step.cached == 0) return "";
  const std::string all = amount_text(static_cast<double>(step.cached));
  if (step.earlier == 0) return all;
  return fmt::format("{} ({} earlier)", all, amount_text(static_cast<double>(step.earlier)));
}

std::string actual_note(const StepProfile& step) {
  const auto tokens = static_cast<double>(step.usage.tokens());
  return joined({many(static_cast<double>(step.tasks), "row"),
                 tokens > 0 ? many(tokens, "token") : "", length_text(seconds_of(step.busy_ns)),
                 money_text(step.usage.usd)});
}

}  // namespace sluice::cli
