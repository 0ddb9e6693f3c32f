#include "cli/batch/batch_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/messages.h"
#include "cli/numbers_text.h"
#include "cli/summary_text.h"

namespace sluice::cli {
namespace {

std::string errors_text(const BatchResult& result, const Terminal& terminal) {
  std::string text;
  for (const std::string& error : result.first_errors) {
    text += fmt::format("  {} {}\n", painted(terminal, Ink::kRed, "error"), harmless(error));
  }
  const std::uint64_t told = result.first_errors.size();
  if (result.errors > told) {
    text +=
        fmt::format("  and {} more, in the column of errors\n", count_text(result.errors - told));
  }
  return text;
}

std::string rows_left(std::uint64_t rows, const BatchWatcher& watcher) {
  return count_text(rows - std::min(rows, watcher.rows_done()));
}

}  // namespace

std::string to_go_on(const RunReport& report, std::uint64_t left,
                     const BatchReportContext& context) {
  if (!report.journaled) return "";
  return fmt::format("next: sluice resume{} {}   (the other {} rows)\n", context.journal,
                     report.run_id, count_text(left));
}

std::string batch_end_text(const RunReport& report, const BatchResult& result,
                           const BatchReportContext& context) {
  const std::int64_t took = report.summary.end_ns - report.summary.start_ns;
  const double seconds = static_cast<double>(took) / static_cast<double>(kNsPerSecond);
  std::string text =
      fmt::format("run {} {} in {}: {} {} in, {} written to {}", report.run_id,
                  painted(context.terminal, Ink::kGreen, run_status_name(report.outcome.status)),
                  seconds_text(took), count_text(result.rows), result.rows == 1 ? "row" : "rows",
                  count_text(result.written), result.file);
  if (result.errors > 0)
    text += fmt::format(", {} of them with an error", count_text(result.errors));
  const std::uint64_t left_out = result.rows - std::min(result.rows, result.written);
  if (left_out > 0)
    text += fmt::format(", {} left out (their result is null)", count_text(left_out));
  if (seconds > 0 && result.rows > 0) {
    text += fmt::format("; {} rows/s", rate_text(static_cast<double>(result.rows) / seconds));
  }
  text += "\n" + errors_text(result, context.terminal);
  text += steps_table(report.summary, context.terminal);
  text += tokens_line(report.summary);
  return text + critical_path_line(report.summary.critical_path);
}

std::string batch_stop_text(const RunReport& report, const BatchWatcher& watcher,
                            const BatchReportContext& context) {
  const std::int64_t took = report.summary.end_ns - report.summary.start_ns;
  const std::uint64_t failed = watcher.rows_failed();
  std::string text;
  switch (*watcher.stopped()) {
    case BatchWatcher::Stop::kAllFailed:
      return fmt::format(
          "{}: {} of the sample failed; nothing more was tried\n  {} {}\n"
          "next: mend the plan (or the table), then run the batch again with --force\n",
          painted(context.terminal, Ink::kRed, "stopped"),
          failed == 1 ? "the only row" : fmt::format("all {} rows", count_text(failed)),
          painted(context.terminal, Ink::kRed, "error"), harmless(watcher.first_error()));
    case BatchWatcher::Stop::kBudget:
      return fmt::format(
          "{} before its budget is exceeded ({}): {} of {} rows are done\n{}",
          painted(context.terminal, Ink::kYellow, "stopped"), watcher.budget_words(),
          count_text(watcher.rows_through()), count_text(context.rows),
          !report.journaled
              ? std::string()
              : fmt::format(
                    "next: sluice resume{} {} --budget BOUND   (the other {} "
                    "rows, with so much more)\n",
                    context.journal, report.run_id,
                    count_text(context.rows - std::min(context.rows, watcher.rows_through()))));
    case BatchWatcher::Stop::kUnmeasured:
      return "";  // it begins anew, exactly
    case BatchWatcher::Stop::kSample:
      text = fmt::format("sample: {} of {} rows in {}", count_text(watcher.rows_done()),
                         count_text(context.rows), seconds_text(took));
      if (failed > 0) text += fmt::format(", {} with an error", count_text(failed));
      text += "\n";
      if (failed > 0) {
        text += fmt::format("  {} {}\n", painted(context.terminal, Ink::kRed, "error"),
                            harmless(watcher.first_error()));
      }
      return text +
             fmt::format("all {} rows: {}\n", count_text(context.rows),
                         forecast_text(forecast(watcher.sample(), context.rows, report.forecast))) +
             fmt::format(
                 "  from these {} rows; four times in five it lies in the range, if the "
                 "others ({}) are like them\n",
                 count_text(watcher.sample().rows.size()), rows_left(context.rows, watcher));
  }
  return text;
}

}  // namespace sluice::cli
