// Measuring what approximate passes do to the results of a plan: a sample of a table's rows is run
// twice, exactly and as the plan allows, and compared. Two runs that are not recorded; models are
// opened for each. Blocks until both have ended; the calling thread is theirs.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "host/history/quality.h"
#include "host/runs/batch_plan.h"
#include "host/runs/run_service.h"

namespace sluice {

struct QualityRequest {
  const BatchSpec& batch;     // its output is not used
  std::uint64_t rows = 0;     // of the input that are to be done
  std::uint64_t sample = 20;  // of them
  // Hears of every call of both runs, may refuse one, and may end them; null: nobody.
  RunObserver* spending = nullptr;
};

// Of which rows something was measured: for QualityKey::rows. `sha256`: of the input's bytes.
std::string identity_of_rows(const BatchSpec& batch, std::string_view sha256, std::uint64_t rows);

struct QualityOutcome {
  std::optional<MeasuredQuality> measured;
  std::string why_not;  // a sentence for people, where nothing was measured
  // No pass found anything to change in the sample. As `measured` would be: to be kept, so that it
  // is not looked for again.
  std::optional<MeasuredQuality> unchanged;
  bool interrupted = false;                 // by a person
  bool stopped = false;                     // by `spending`
  double tokens = 0, usd = 0, seconds = 0;  // that it took, both ways
};

// Why the plan cannot be run twice to be compared: it changes something, or waits; "" when it can.
std::string why_not_twice(const Plan& plan);

// Why nothing of the plan can be measured, whatever the table's rows are; "" when it can.
std::string why_not_measured(const Plan& plan, const OptimizerSettings& settings);

// `settings`: of the run that is meant; where it is recorded, and how many rows it takes, does not
// count here. `observer` hears of progress and interrupts.
std::expected<QualityOutcome, RunRefused> measure_quality(const QualityRequest& request,
                                                          const RunSettings& settings,
                                                          RunObserver& observer);

}  // namespace sluice
