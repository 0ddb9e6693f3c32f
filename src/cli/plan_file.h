// Reading and checking the plan that a command line names. Prints what is wrong; the main thread.
#pragma once

#include <expected>
#include <filesystem>
#include <string>

#include "cli/exit_code.h"
#include "cli/messages.h"
#include "host/runs/run_header.h"
#include "plan/diagnostic.h"
#include "plan/logical.h"

namespace sluice::cli {

struct CheckedPlan {
  std::string file;
  std::filesystem::path folder;  // where its relative paths start
  PlanPtr plan;                  // null when it could not be understood
  Diagnostics findings;          // of form and meaning, sorted
  std::vector<std::string> files;
  SourceLines sources;
  PlanTexts texts;  // of the plan and its sub-plans' files, as they were read
};

// Everything that can be found without running anything. An Error: the file could not be read, or
// is no plan at all.
Result<CheckedPlan> check_plan_file(const std::string& file);
// The same for commands that need a good plan: prints the findings, gives the exit code if any is
// an error.
std::expected<CheckedPlan, ExitCode> require_plan(const std::string& file, bool show_warnings);
// The parameters that a run of it gets, from those that were given; prints what is wrong.
std::expected<Value, ExitCode> require_params(CheckedPlan& checked, const Result<Value>& given);

}  // namespace sluice::cli
