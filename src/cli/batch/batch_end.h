// What a batch says when it has ended or stopped, in the process that began it or in one that took
// it up. The main thread.
#pragma once

#include <expected>

#include "cli/batch/batch_report.h"
#include "cli/batch/batch_watcher.h"
#include "cli/run_end.h"

namespace sluice::cli {

struct BatchEnd {
  const LiveOptions& live;
  BatchReportContext context;
  ReportContext told;  // for what any run tells
  SourceLines& sources;
};

// Prints it and gives the exit code.
int conclude_batch(const std::expected<RunReport, RunRefused>& report, const RunWatcher& watcher,
                   const BatchWatcher& batch, BatchEnd end);

}  // namespace sluice::cli
