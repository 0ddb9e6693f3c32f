// What a person reads when a batch has ended or stopped. Pure.
#pragma once

#include <string>

#include "cli/batch/batch_watcher.h"
#include "cli/terminal.h"
#include "host/runs/batch_plan.h"
#include "host/runs/run_service.h"

namespace sluice::cli {

struct BatchReportContext {
  Terminal terminal;
  std::string journal = {};  // " --journal FILE" as it was given, or ""
  std::uint64_t rows = 0;    // that the run was to do
};

// The run came to its end: rows in and out, errors, then what any run tells.
std::string batch_end_text(const RunReport& report, const BatchResult& result,
                           const BatchReportContext& context);
// It stopped for its sample, for its budget, or because every row of the sample failed.
std::string batch_stop_text(const RunReport& report, const BatchWatcher& watcher,
                            const BatchReportContext& context);
// "next: sluice resume 01k...   (the other 9,980 rows)"
std::string to_go_on(const RunReport& report, std::uint64_t rows_left,
                     const BatchReportContext& context);

}  // namespace sluice::cli
