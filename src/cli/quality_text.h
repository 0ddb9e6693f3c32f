// What people and programs read of measured quality: how alike results are when passes run that may
// change them. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/value.h"
#include "host/history/quality.h"
#include "host/runs/quality_run.h"

namespace sluice::cli {

// Passes that may change results, and what is known of how much.
struct AllowedQuality {
  std::vector<std::string> passes;
  std::optional<MeasuredQuality> measured;  // nullopt: nothing was measured, or too long ago
};

// "agreement 0.95 (0.80 or more) on 20 rows"
std::string agreement_text(const Agreement& agreement);
// "reorder_templates: agreement 0.95 (0.80 or more) on 20 rows, measured 2026-11-22"; without a
// measurement how to get one.
std::string quality_line(const AllowedQuality& known);
// All of it: agreement, fields, what both ways took, the first rows that differ.
std::string quality_report(const MeasuredQuality& measured);
// {"event": "quality", ...}
Value quality_event(const QualityOutcome& outcome);

}  // namespace sluice::cli
