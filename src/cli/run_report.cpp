#include "cli/run_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/messages.h"
#include "cli/numbers_text.h"

namespace sluice::cli {
namespace {

constexpr std::size_t kMostFailures = 5;
constexpr std::size_t kMostHops = 8;

std::string headline(const RunReport& report, const Terminal& terminal) {
  const RunStatus status = report.outcome.status;
  const Ink ink = status == RunStatus::kSucceeded ? Ink::kGreen
                  : status == RunStatus::kFailed  ? Ink::kRed
                                                  : Ink::kYellow;
  const std::int64_t took = report.summary.end_ns - report.summary.start_ns;
  return fmt::format("run {} {} in {}\n", report.run_id,
                     painted(terminal, ink, run_status_name(status)), seconds_text(took));
}

std::string steps_table(const RunSummary& summary, const Terminal& terminal) {
  std::size_t width = 4;
  for (const StepSummary& step : summary.steps) {
    width = std::max(width, std::min<std::size_t>(step.id.size(), 40));
  }
  std::string text =
      painted(terminal, Ink::kDim,
              fmt::format("  {:<{}}  {:<5} {:>7} {:>7} {:>7} {:>7} {:>9} {:>10}", "step", width,
                          "what", "done", "skipped", "failed", "calls", "tokens", "in calls")) +
      "\n";
  for (const StepSummary& step : summary.steps) {
    std::string row = fmt::format("  {:<{}}  {:<5} {:>7} {:>7} {:>7} {:>7} {:>9} {:>10}", step.id,
                                  width, step.operator_name, count_text(step.done),
                                  step.skipped == 0 ? "" : count_text(step.skipped),
                                  step.failed == 0 ? "" : count_text(step.failed),
                                  step.calls == 0 ? "" : count_text(step.calls),
                                  step.usage.tokens() == 0 ? "" : count_text(step.usage.tokens()),
                                  step.busy_ns == 0 ? "" : seconds_text(step.busy_ns));
    if (step.retries > 0) row += "  " + count_text(step.retries) + " retried";
    if (step.cached > 0) row += "  " + count_text(step.cached) + " from the cache";
    if (step.in_doubt > 0) row += "  " + count_text(step.in_doubt) + " in doubt";
    text += (step.failed > 0 ? painted(terminal, Ink::kRed, row) : row) + "\n";
  }
  return text;
}

std::string tokens_line(const RunReport& report) {
  const Usage& usage = report.summary.usage;
  if (usage.tokens() == 0) return "";
  const double seconds =
      static_cast<double>(report.summary.end_ns - report.summary.start_ns) / kNsPerSecond;
  std::string text = fmt::format("  tokens: {} read ({} of them from a shared prefix), {} written",
                                 count_text(usage.prompt_tokens), count_text(usage.cached_tokens),
                                 count_text(usage.completion_tokens));
  if (seconds > 0) {
    text += fmt::format(", {} tokens/s", rate_text(static_cast<double>(usage.tokens()) / seconds));
  }
  if (usage.usd > 0) text += fmt::format(", {:.4f} usd", usage.usd);
  return text + "\n";
}

std::string critical_path_line(const RunSummary& summary) {
  const auto& hops = summary.critical_path;
  if (hops.empty()) return "";
  std::string text;
  for (std::size_t i = 0; i < hops.size(); ++i) {
    // A long chain shows its two ends.
    if (hops.size() > kMostHops && i == kMostHops / 2) {
      text += fmt::format(" -> ... {} more", hops.size() - kMostHops);
      i = hops.size() - kMostHops / 2;
    }
    text += fmt::format("{}{} {}", text.empty() ? "" : " -> ", hops[i].task_id,
                        seconds_text(hops[i].end_ns - hops[i].start_ns));
  }
  return "  critical path: " + text + "\n";
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

std::string next_command(const RunReport& report, const std::string& plan) {
  switch (report.outcome.status) {
    case RunStatus::kSucceeded:
      return "";
    case RunStatus::kFailed:
      return fmt::format(
          "next: sluice explain {}   (what depends on what), or run it again with "
          "--json for every event\n",
          plan);
    case RunStatus::kInDoubt:
      return "next: find out whether the call in doubt happened, then run the plan again; a "
             "`probe` "
             "on the tool lets Sluice ask by itself\n";
    case RunStatus::kBudgetSpent:
      return "next: raise the `budget` that is named above, then run the plan again\n";
    case RunStatus::kInterrupted:
    case RunStatus::kCancelled:
      return fmt::format("next: sluice run {}\n", plan);
  }
  return "";
}

}  // namespace

std::string run_report_text(const RunReport& report, const ReportContext& context) {
  std::string text = headline(report, context.terminal);
  if (!report.summary.steps.empty()) text += steps_table(report.summary, context.terminal);
  text += tokens_line(report);
  text += critical_path_line(report.summary);
  if (report.memory.spilled_bytes > 0) {
    text += fmt::format("  large values: {} held at most, {} spilled to disk\n",
                        bytes_text(report.memory.peak_resident_bytes),
                        bytes_text(report.memory.spilled_bytes));
  }
  text += failures(report, context);
  text += next_command(report, context.plan_file);
  return text;
}

}  // namespace sluice::cli
