#include "cli/run_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/messages.h"
#include "cli/numbers_text.h"
#include "cli/summary_text.h"

namespace sluice::cli {
namespace {

constexpr std::size_t kMostFailures = 5;

std::string headline(const RunReport& report, const Terminal& terminal) {
  const RunStatus status = report.outcome.status;
  const Ink ink = status == RunStatus::kSucceeded ? Ink::kGreen
                  : status == RunStatus::kFailed  ? Ink::kRed
                                                  : Ink::kYellow;
  const std::int64_t took = report.summary.end_ns - report.summary.start_ns;
  return fmt::format("run {} {} in {}\n", report.run_id,
                     painted(terminal, ink, run_status_name(status)), seconds_text(took));
}

std::string failures(const RunReport& report, const ReportContext& context) {
  std::string text;
  const auto& errors = report.outcome.errors;
  for (std::size_t i = 0; i < errors.size() && i < kMostFailures; ++i) {
    text += error_text(errors[i], context.files, context.terminal);
  }
  const std::uint64_t all = std::max<std::uint64_t>(report.outcome.failed_tasks, errors.size());
  const std::uint64_t told = std::min(errors.size(), kMostFailures);
  if (all > told)
    text += fmt::format("and {} more failed or could not start\n", count_text(all - told));
  return text;
}

std::string after_failure(const RunReport& report, const ReportContext& context) {
  if (!context.when_failed.empty()) return context.when_failed;
  if (!report.journaled) {
    return fmt::format(
        "next: sluice explain {}   (what depends on what), or run it again with "
        "--json for every event\n",
        context.plan_file);
  }
  return fmt::format(
      "next: sluice runs show{0} {1}   (every step and attempt)\n"
      "      sluice fork{0} {1} --from STEP --plan {2}   (again from a step, with what is done)\n",
      context.journal, report.run_id,
      context.plan_file.empty() ? "PLAN" : shell_word(context.plan_file));
}

std::string to_resume(const RunReport& report, const ReportContext& context) {
  if (report.journaled) {
    return fmt::format("next: sluice resume{} {}{}\n", context.journal, report.run_id,
                       context.left.empty() ? "" : fmt::format("   ({})", context.left));
  }
  if (!context.left.empty()) {
    return fmt::format("next: run the batch again (nothing was recorded): {} are not done\n",
                       context.left);
  }
  if (context.plan_file.empty()) return "";
  return fmt::format("next: sluice run {}   (nothing was recorded)\n", context.plan_file);
}

}  // namespace

std::string next_commands(const RunReport& report, const ReportContext& context) {
  const OpenQuestions questions{report.run_id, context.journal, report.doubts, report.waits};
  std::string text;
  if (report.journaled && !report.ended) {
    text = doubts_text(questions, context.terminal) + waits_text(questions, context.terminal);
  }
  switch (report.outcome.status) {
    case RunStatus::kSucceeded:
      return "";
    case RunStatus::kFailed:
      return after_failure(report, context);
    case RunStatus::kInDoubt:
      if (report.journaled) return text + to_resume(report, context);
      return "next: find out whether the call in doubt happened, then run the plan again; a "
             "`probe` on the tool lets Sluice ask by itself\n";
    case RunStatus::kBudgetSpent:
      if (report.journaled) {
        return fmt::format(
            "next: raise the `budget` that is named above, then sluice fork{} {} --from STEP "
            "--plan PLAN\n",
            context.journal, report.run_id);
      }
      return "next: raise the `budget` that is named above, then run the plan again\n";
    case RunStatus::kInterrupted:
      return text + to_resume(report, context);
    case RunStatus::kCancelled:
      return context.plan_file.empty() ? ""
                                       : fmt::format("next: sluice run {}\n", context.plan_file);
  }
  return "";
}

std::string run_report_text(const RunReport& report, const ReportContext& context) {
  std::string text = headline(report, context.terminal);
  if (!report.summary.steps.empty()) text += steps_table(report.summary, context.terminal);
  text += tokens_line(report.summary);
  text += critical_path_line(report.summary.critical_path);
  if (!context.quality.empty()) text += fmt::format("  results may differ: {}\n", context.quality);
  if (report.memory.spilled_bytes > 0) {
    text += fmt::format("  large values: {} held at most, {} spilled to disk\n",
                        bytes_text(report.memory.peak_resident_bytes),
                        bytes_text(report.memory.spilled_bytes));
  }
  text += failures(report, context);
  text += next_commands(report, context);
  return text;
}

}  // namespace sluice::cli
