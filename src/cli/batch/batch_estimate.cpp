#include "cli/batch/batch_estimate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "cli/numbers_text.h"

namespace sluice::cli {
namespace {

constexpr double kFourInFive = 1.2816;  // standard deviations of a normal distribution

// How far the mean of all may lie from that of the sample, as a part of it.
double relative_spread(const std::vector<RowCost>& rows, double RowCost::* what) {
  const auto count = static_cast<double>(rows.size());
  if (rows.size() < 2) return 0.5;
  double sum = 0;
  for (const RowCost& row : rows) sum += row.*what;
  const double mean = sum / count;
  if (mean <= 0) return 0;
  double squares = 0;
  for (const RowCost& row : rows) squares += (row.*what - mean) * (row.*what - mean);
  return kFourInFive * std::sqrt(squares / (count - 1) / count) / mean;
}

Estimate scaled(double seen, double factor, double spread) {
  const double middle = seen * factor;
  return {middle, middle * std::max(0.0, 1 - spread), middle * (1 + spread),
          EstimateSource::kSample};
}

// A mean that is known up to its own range and up to how much rows differ.
Estimate with_spread(const Estimate& estimate, double factor, double spread) {
  const double middle = estimate.middle * factor;
  if (middle <= 0) return Estimate::exact(0);
  const double own = (estimate.high - estimate.low) / 2 / estimate.middle;
  const double both = std::hypot(own, spread);
  return {middle, middle * std::max(0.0, 1 - both), middle * (1 + both), EstimateSource::kSample};
}

// How much longer the sample took than the model says of it, within reason: a few rows that happen
// to be slow, or the first use of a model, are no law.
double pace_of(const BatchSample& sample, const PlanEstimate& expected) {
  constexpr double kMost = 2;
  if (sample.seconds <= 0 || expected.seconds.middle <= 0) return 1;
  return std::clamp(sample.seconds / expected.seconds.middle, 1 / kMost, kMost);
}

BatchForecast of_model(const BatchSample& sample, const SampleForecast& expected) {
  const PlanEstimate& all = expected.all;
  BatchForecast made;
  made.seconds = with_spread(all.seconds, pace_of(sample, expected.sample),
                             relative_spread(sample.rows, &RowCost::busy_s));
  made.tokens = with_spread(all.prompt_tokens + all.completion_tokens, 1,
                            relative_spread(sample.rows, &RowCost::tokens));
  made.usd = with_spread(all.usd, 1, relative_spread(sample.rows, &RowCost::usd));
  return made;
}

std::string whole(double number) {
  return count_text(static_cast<std::uint64_t>(std::llround(std::max(0.0, number))));
}

std::string time_of(double seconds) {
  return seconds_text(static_cast<std::int64_t>(seconds * static_cast<double>(kNsPerSecond)));
}

Value range_value(const Estimate& range) {
  return Value::object({{"middle", Value::number(range.middle)},
                        {"low", Value::number(range.low)},
                        {"high", Value::number(range.high)}});
}

}  // namespace

BatchForecast forecast(const BatchSample& sample, std::uint64_t all_rows,
                       const std::optional<SampleForecast>& expected) {
  BatchForecast all;
  if (sample.rows.empty()) return all;
  if (expected && expected->all.calls.middle > 0) return of_model(sample, *expected);
  const double factor = static_cast<double>(all_rows) / static_cast<double>(sample.rows.size());
  all.seconds = scaled(sample.seconds, factor, relative_spread(sample.rows, &RowCost::busy_s));
  all.tokens = scaled(sample.tokens, factor, relative_spread(sample.rows, &RowCost::tokens));
  all.usd = scaled(sample.usd, factor, relative_spread(sample.rows, &RowCost::usd));
  return all;
}

std::string forecast_text(const BatchForecast& forecast) {
  const auto& [seconds, tokens, usd] = forecast;
  std::string text = fmt::format("about {} ({} to {})", time_of(seconds.middle),
                                 time_of(seconds.low), time_of(seconds.high));
  if (tokens.middle > 0) {
    text += fmt::format(", {} tokens ({} to {})", whole(tokens.middle), whole(tokens.low),
                        whole(tokens.high));
  }
  if (usd.middle > 0) {
    text += fmt::format(", {:.2f} usd ({:.2f} to {:.2f})", usd.middle, usd.low, usd.high);
  }
  return text;
}

Value forecast_value(const BatchForecast& forecast) {
  return Value::object({{"seconds", range_value(forecast.seconds)},
                        {"tokens", range_value(forecast.tokens)},
                        {"usd", range_value(forecast.usd)}});
}

}  // namespace sluice::cli
