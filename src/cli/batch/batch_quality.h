// Whether a batch may go on with the passes that its plan allows: measures on a sample how much
// they change, or takes what was measured before. Prints what it finds; the main thread.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/batch/batch_budget.h"
#include "cli/quality_text.h"
#include "cli/run_watcher.h"
#include "host/runs/batch_plan.h"
#include "host/runs/run_service.h"

namespace sluice::cli {

struct QualityOptions {
  std::uint64_t sample = 20;  // rows; 0: nothing is measured
  double least = 0.9;         // share of equal rows with which a batch goes on as allowed
};
// --quality-sample and --least-agreement.
void add_quality_options(CLI::App& app, QualityOptions& options);

// What is known of the passes that the plan allows; nullopt: it allows none that changes results.
// `rows`: as identity_of_rows gives them; "": what was measured last, on whatever rows.
std::optional<AllowedQuality> known_quality(const PlanPtr& plan, const OptimizerSettings& optimizer,
                                            const RunSettings& settings,
                                            const std::string& rows = "");
// Keeps what was measured with `settings` on these rows. Why it could not be kept, or "".
std::string keep_quality(const PlanPtr& plan, const RunSettings& settings, const std::string& rows,
                         const MeasuredQuality& measured);

struct QualityQuestion {
  const BatchSpec& batch;
  const PlanPtr& plan;              // the user's
  const std::string& input_sha256;  // of the table's bytes
  std::uint64_t rows;               // that are to be done
  const QualityOptions& options;
  const RunSettings& settings;
  const OutputOptions& output;
  BudgetKeeper& budget;  // of the batch, to which measuring belongs
};

struct QualityDecision {
  OptimizerSettings optimizer;  // with which the batch is to be done
  // What its passes may change, as approximate_changes gives it; nullopt: anything.
  std::optional<std::vector<std::string>> measured;
  bool interrupted = false;  // it is not to be done now
  bool spent = false;        // ... because its budget is
  std::string remark;        // for the end of the batch; a line, or ""
};
QualityDecision decide_quality(const QualityQuestion& question);

}  // namespace sluice::cli
