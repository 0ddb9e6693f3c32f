#include "cli/run_end.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "cli/batch/batch_quality.h"
#include "cli/exit_code.h"
#include "cli/quality_text.h"
#include "cli/result_output.h"
#include "cli/trace_json.h"

namespace sluice::cli {
namespace {

// Where the way out is not to record at all.
std::string how_else(const Error& error, const RunWatcher& watcher) {
  const bool journal = error.code() == ErrorCode::kJournal ||
                       error.code() == ErrorCode::kJournalDamaged ||
                       error.code() == ErrorCode::kDiskFull;
  if (!journal || !watcher.run_id().empty()) return "";
  return "a run that nothing needs to survive can do without: --no-journal\n";
}

int refused(const RunRefused& why, const ReportContext& context, SourceLines& sources,
            const RunWatcher& watcher) {
  if (why.error) {
    write_err(watcher.clean(error_text(*why.error, context.files, context.terminal)));
    write_err(how_else(*why.error, watcher));
    write_err(painted(context.terminal, Ink::kDim,
                      fmt::format("read more: docs/errors/{}.md", why.error->name())) +
              "\n");
    return exit_code_of(*why.error);
  }
  write_err(
      watcher.clean(diagnostics_text(why.findings, context.files, sources, context.terminal)));
  write_err(
      fmt::format("{} in {}; nothing was run\n", counts_text(why.findings), context.plan_file));
  return kPlanWrong;
}

// Of a plan that ran with passes that may change results: how much was measured.
std::string quality_of(const LiveOptions& options, const CheckedPlan& plan,
                       const RunWatcher& watcher) {
  if (watcher.approximate().empty()) return "";
  auto known = known_quality(plan.plan, {}, settings_of(options.machine, plan.folder));
  // Of the same passes: others may have been switched off, or found nothing to do.
  const bool same = known && known->measured && known->measured->passes == watcher.approximate();
  return quality_line({watcher.approximate(), same ? known->measured : std::nullopt});
}

// The result to where it belongs; an error is the caller's to report.
Result<void> give_result(const OutputOptions& options, const RunReport& report,
                         const RunWatcher& watcher) {
  if (options.json) {
    auto written = write_out(watcher.clean(result_line(report)) + "\n");
    if (!written || options.file.empty()) return written;
  }
  if (report.outcome.status != RunStatus::kSucceeded && report.outcome.result.is_null()) return {};
  const std::string text = watcher.clean(result_text(report.outcome.result));
  if (!options.file.empty()) return write_file(options.file, text);
  return report.outcome.result.is_null() ? Result<void>() : write_out(text);
}

}  // namespace

void add_live_options(CLI::App& app, LiveOptions& options) {
  add_machine_options(app, options.machine);
  app.add_option("-o,--output", options.output.file, "Write the result to this file")
      ->type_name("FILE");
  app.add_flag("--json", options.output.json,
               "One trace event a line on standard output, the result last");
  app.add_flag("-q,--quiet", options.output.quiet,
               "No progress and no report unless something is wrong");
  app.add_option("--memory", options.memory,
                 "Large values held in memory; more go to disk (default: 256M)")
      ->type_name("BYTES");
  add_journal_option(app, options.journal);
}

std::expected<std::uint64_t, int> check_live_options(const LiveOptions& options) {
  auto memory = parse_bytes(options.memory);
  if (!memory) return std::unexpected(end_with(memory.error()));
  const std::string& file = options.output.file;
  auto writable = file.empty() ? Result<void>() : check_writable(file);
  if (writable) return *memory;
  return std::unexpected(end_with(writable.error()));
}

RunSettings live_settings(const LiveOptions& options, const std::filesystem::path& plan_folder,
                          std::uint64_t memory_bytes, Journal* journal) {
  RunSettings settings = settings_of(options.machine, plan_folder);
  settings.memory_bytes = memory_bytes;
  settings.handle_signals = true;
  settings.person_reads = terminal_of(2).interactive;
  settings.journal = journal;
  return settings;
}

ResumeRequest resume_request(const LiveOptions& options, const std::string& run_id) {
  ResumeRequest request;
  request.run_id = run_id;
  request.other_work_dir = !options.machine.directory.empty();
  request.other_model = !options.machine.model.empty();
  return request;
}

int watch_run(const LiveOptions& options, CheckedPlan* plan, const HaveRun& have_run) {
  const Terminal terminal = terminal_of(2);
  RunWatcher watcher(options.output, terminal);
  auto report = have_run(watcher);
  watcher.finish();
  ReportContext context{.terminal = terminal, .journal = journal_argument(options.journal)};
  SourceLines no_sources;
  if (plan != nullptr) {
    context.plan_file = plan->file;
    context.files = plan->files;
    context.quality = quality_of(options, *plan, watcher);
  }
  return finish_run(report, options.output, std::move(context),
                    plan == nullptr ? no_sources : plan->sources, watcher);
}

int finish_run(const std::expected<RunReport, RunRefused>& report, const OutputOptions& options,
               ReportContext context, SourceLines& sources, const RunWatcher& watcher) {
  if (report && context.files.empty()) context.files = report->plan_files;
  if (!report) return refused(report.error(), context, sources, watcher);
  const bool good = report->outcome.status == RunStatus::kSucceeded;
  if (!good || (!options.quiet && !options.json)) {
    write_err(watcher.clean(run_report_text(*report, context)));
  }
  const int status = exit_code_of(report->outcome.status);
  auto given = give_result(options, *report, watcher);
  std::optional<Error> failure = watcher.failure();
  if (!given) failure = given.error();
  if (!failure) return status;
  print_error(*failure);
  return status == kGood ? static_cast<int>(kRunFailed) : status;
}

}  // namespace sluice::cli
