// What all rows will cost, from what the first ones took. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cost/estimate.h"
#include "data/value.h"
#include "host/runs/run_service.h"

namespace sluice::cli {

// What one row took.
struct RowCost {
  double tokens = 0;
  double usd = 0;
  double busy_s = 0;  // all its calls, one after the other
};

struct BatchSample {
  std::vector<RowCost> rows;   // that were done
  double seconds = 0;          // from the first row's start to the last row's end
  double tokens = 0, usd = 0;  // of all of them, of sub-plans too
};

struct BatchForecast {
  Estimate seconds, tokens, usd;
};

// The range holds the mean of all rows four times in five, if rows are as those that were seen.
// `expected`: what the cost model makes of what the sample has shown. It knows what a part of the
// rows cannot show: how equal all rows are, conditions on the table alone, how full a model's batch
// gets. The sample's own time says how far it is off on this machine. Without it all is scaled up.
BatchForecast forecast(const BatchSample& sample, std::uint64_t all_rows,
                       const std::optional<SampleForecast>& expected = {});

// "about 1 h 07 min (55 min to 1 h 20 min), 3,200,000 tokens (...), 4.20 usd (...)"
std::string forecast_text(const BatchForecast& forecast);
Value forecast_value(const BatchForecast& forecast);

}  // namespace sluice::cli
