#include "cli/batch_estimate.h"

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

BatchForecast forecast(const BatchSample& sample, std::uint64_t all_rows) {
  BatchForecast all;
  if (sample.rows.empty()) return all;
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
