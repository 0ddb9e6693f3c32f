// What a person reads when a run has ended or stopped: what ran, tokens, time, the critical path,
// what failed and why, and what to type next. Pure.
#pragma once

#include <string>
#include <vector>

#include "cli/terminal.h"
#include "host/runs/run_service.h"

namespace sluice::cli {

struct ReportContext {
  std::string plan_file;           // "" when the plan came from the journal
  std::vector<std::string> files;  // names for positions
  Terminal terminal;
  std::string journal = {};      // " --journal FILE" as it was given, or ""
  std::string when_failed = {};  // what to type then; "": what fits any plan
  std::string left = {};         // of a batch that stopped: "the other 12 of 20 rows"
  std::string quality = {};      // how much results may differ; "": they do not
};

std::string run_report_text(const RunReport& report, const ReportContext& context);
// Only what to type next; "" when there is nothing to do.
std::string next_commands(const RunReport& report, const ReportContext& context);

}  // namespace sluice::cli
