// Measuring what approximate passes do to the results of a plan: a sample of a table's rows is run
// twice, exactly and as the plan allows, and compared. Two runs that are not recorded; models are
// opened for each. Blocks until both have ended; the calling thread is theirs.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>

#include "host/history/quality.h"
#include "host/runs/batch_plan.h"
#include "host/runs/run_service.h"

namespace sluice {

struct QualityRequest {
  const BatchSpec& batch;     // its output is not used
  std::uint64_t rows = 0;     // of the input that are to be done
  std::uint64_t sample = 20;  // of them
};

struct QualityOutcome {
  std::optional<MeasuredQuality> measured;
  std::string why_not;         // a sentence for people, where nothing was measured
  bool nothing_to_do = false;  // no pass found anything to change: results cannot differ
  bool interrupted = false;    // by a person
  double tokens = 0, usd = 0, seconds = 0;  // that it took, both ways
};

// Why the plan cannot be run twice to be compared: it changes something, or waits; "" when it can.
std::string why_not_twice(const Plan& plan);

// `settings`: of the run that is meant; where it is recorded, and how many rows it takes, does not
// count here. `observer` hears of progress and interrupts.
std::expected<QualityOutcome, RunRefused> measure_quality(const QualityRequest& request,
                                                          const RunSettings& settings,
                                                          RunObserver& observer);

}  // namespace sluice
