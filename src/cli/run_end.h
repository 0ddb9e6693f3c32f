// What `run`, `resume`, `fork` and `cancel` have in common: their options for output, and what they
// say when the run has ended or never began. The main thread.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <functional>
#include <string>

#include "cli/journal_options.h"
#include "cli/messages.h"
#include "cli/plan_file.h"
#include "cli/run_options.h"
#include "cli/run_report.h"
#include "cli/run_watcher.h"
#include "host/runs/run_service.h"

namespace sluice::cli {

// Of a command that has a run to its end.
struct LiveOptions {
  MachineOptions machine;
  JournalOptions journal;
  OutputOptions output;
  std::string memory = "256M";
};
void add_live_options(CLI::App& app, LiveOptions& options);

// Before anything is opened: is the amount of memory one, and can the result be written at all?
// Prints what is wrong and gives what to end with, else the memory.
std::expected<std::uint64_t, int> check_live_options(const LiveOptions& options);
RunSettings live_settings(const LiveOptions& options, const std::filesystem::path& plan_folder,
                          std::uint64_t memory_bytes, Journal* journal);

// To take up a run: with its own folder and model where the person names no other.
ResumeRequest resume_request(const LiveOptions& options, const std::string& run_id);

using HaveRun = std::function<std::expected<RunReport, RunRefused>(RunObserver& observer)>;
// Has a run to its end, watched as the options say; gives the exit code. `plan`: null where it is
// the journal's.
int watch_run(const LiveOptions& options, CheckedPlan* plan, const HaveRun& have_run);

// Prints the report, gives the result to where it belongs, gives the exit code.
int finish_run(const std::expected<RunReport, RunRefused>& report, const OutputOptions& options,
               ReportContext context, SourceLines& sources, const RunWatcher& watcher);

}  // namespace sluice::cli
