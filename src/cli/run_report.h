// What a person reads when a run has ended: what ran, tokens, time, the critical path, what failed
// and why, and what to type next. Pure.
#pragma once

#include <string>
#include <vector>

#include "cli/terminal.h"
#include "host/run_service.h"

namespace sluice::cli {

struct ReportContext {
  std::string plan_file;
  std::vector<std::string> files;  // names for positions
  Terminal terminal;
};

std::string run_report_text(const RunReport& report, const ReportContext& context);

}  // namespace sluice::cli
