#include "cli/run_watcher.h"

#include <fmt/format.h>

#include "cli/messages.h"
#include "cli/numbers_text.h"
#include "cli/trace_json.h"
#include "host/history/quality.h"

namespace sluice::cli {
namespace {

constexpr std::size_t kFlushBytes = 1 << 14;
constexpr std::size_t kMostNamed = 5;

std::string named(const std::vector<std::string>& tasks, std::uint64_t count) {
  std::string text;
  for (std::size_t i = 0; i < tasks.size() && i < kMostNamed; ++i) {
    text += (i == 0 ? "" : ", ") + tasks[i];
  }
  if (count > kMostNamed) text += ", ...";
  return text;
}

}  // namespace

std::string wait_text(const WaitBegan& wait) {
  std::string text = wait.signal.empty() ? "waiting" : "waiting for signal " + wait.signal;
  if (!wait.of.empty()) text += ", for " + wait.of;
  if (!wait.ask.empty()) text += ": " + wait.ask;
  if (wait.until_wall_ns != 0) {
    text += fmt::format("{}until {}", wait.ask.empty() ? " " : " (", time_text(wait.until_wall_ns));
    if (!wait.ask.empty()) text += ")";
  }
  return text;
}

RunWatcher::RunWatcher(const OutputOptions& options, const Terminal& terminal)
    : options_(options), progress_(terminal) {}

void RunWatcher::use_redactor(const Redactor* redactor) {
  if (redactor != nullptr) {
    redactor_ = redactor;
  } else if (redactor_ != nullptr) {
    kept_ = *redactor_;  // the report is written after the run's own is gone
    redactor_ = &kept_;
  }
}

std::string RunWatcher::clean(std::string_view text) const {
  return redactor_ == nullptr ? std::string(text) : redactor_->clean(text);
}

void RunWatcher::say(std::string_view line) { progress_.say(clean(line)); }

void RunWatcher::on_trace(const TraceEvent& event) {
  if (event.kind == TraceKind::kRecoveryBegan) recovering_ = true;
  if (event.kind == TraceKind::kRecovered) recovering_ = false;
  note_wait(event);
  note_unwritable(event);
  note_replanned(event);
  if (!options_.json || recovering_ || event.kind == TraceKind::kRecovered) return;
  lines_ += clean(trace_line(event));
  lines_ += '\n';
  if (lines_.size() > kFlushBytes) flush();
}

// Of what an earlier process told only what still holds is said.
void RunWatcher::note_wait(const TraceEvent& event) {
  const bool silent = options_.json || options_.quiet;
  switch (event.kind) {
    case TraceKind::kWaiting: {
      if (event.wait == nullptr) return;
      std::string text = wait_text(*event.wait);
      if (!recovering_ && !silent) say(text);
      waits_.insert_or_assign(event.call.task, std::move(text));
      return;
    }
    case TraceKind::kSignal:
    case TraceKind::kTaskDone:
    case TraceKind::kTaskSkipped:
    case TraceKind::kTaskFailed:
      if (!waits_.empty()) waits_.erase(event.call.task);
      return;
    case TraceKind::kRecovered:
      if (silent) return;
      for (const auto& [task, text] : waits_) say(text);
      return;
    default:
      return;
  }
}

// Rows as people count them: from 1.
void RunWatcher::note_replanned(const TraceEvent& event) {
  if (event.kind != TraceKind::kReplanned || recovering_ || options_.json || options_.quiet) return;
  if (event.value == nullptr || !event.value->is_string()) return;
  say(fmt::format("rows from {} on: {}", event.count + 1, event.value->as_string()));
}

void RunWatcher::note_unwritable(const TraceEvent& event) {
  const bool again = event.kind == TraceKind::kRetryScheduled && event.error != nullptr;
  if (!again || unwritable_ || recovering_ || event.plan == nullptr) return;
  const NamedSettings* tool = event.plan->logical->find_tool(event.step->logical.target);
  if (tool == nullptr || tool->kind != "table") return;
  const bool full = event.error->code() == ErrorCode::kDiskFull;
  // Of other plans only what no retry of theirs can cure.
  if (!full && (!batch_ || event.call.task.frame != 0)) return;
  unwritable_ = true;
  const std::string why = event.error->to_string();
  say(full ? fmt::format("no room: {}; make some, then resume the run", why)
           : fmt::format("cannot write: {}; mend that, then resume the run", why));
}

void RunWatcher::on_notice(std::string_view text) {
  if (!options_.quiet) say(fmt::format("note: {}", text));
}

void RunWatcher::on_opened(const std::vector<ModelInfo>& models) {
  if (options_.quiet || options_.json) return;
  for (const ModelInfo& model : models) {
    say(fmt::format("model {}: {}", model.id, model.description));
  }
}

void RunWatcher::on_optimized(const OptimizedPlan& plan) {
  approximate_ = approximate_passes(plan.notes);
}

void RunWatcher::on_started(const std::string& run_id, bool journaled) {
  run_id_ = run_id;
  journaled_ = journaled;
  if (options_.json) {
    lines_ += run_line(run_id, journaled) + "\n";
    return flush();
  }
  if (options_.quiet) return;
  say(fmt::format("run {}{}", run_id, journaled ? "" : " (not recorded)"));
}

void RunWatcher::on_resumed(const ResumeReport& report) {
  if (options_.quiet || options_.json) return;
  std::string text = fmt::format("taken over: {} of {}", plural(report.calls_done, "result"),
                                 plural(report.events, "event"));
  if (report.away_ns > 0) text += fmt::format("; it was away {}", age_text(report.away_ns));
  say(text);
  if (report.repeated_count > 0) {
    say(fmt::format("called again: {} ({})", plural(report.repeated_count, "call"),
                    named(report.repeated, report.repeated_count)));
  }
  if (!report.asked.empty()) {
    say(fmt::format("left before and must not be repeated: {} ({}); asked where a probe can tell",
                    plural(report.asked.size(), "call"), named(report.asked, report.asked.size())));
  }
}

void RunWatcher::on_interrupt(int times) {
  const std::string_view kept = journaled_ ? "; the run can be resumed" : "";
  say(times == 1 ? fmt::format("interrupted: nothing new starts, what runs may end{}; Ctrl-C again "
                               "cuts it off",
                               kept)
                 : fmt::format("cutting off what runs{}; Ctrl-C again leaves at once", kept));
}

void RunWatcher::on_tick(const RunSummary& so_far, const EngineStats& engines, SteadyNs now) {
  flush();
  if (!options_.quiet && !options_.json) progress_.show(so_far, engines, now);
}

void RunWatcher::flush() {
  if (auto written = write_out(lines_); !written && !failure_) failure_ = written.error();
  lines_.clear();
}

void RunWatcher::finish() {
  flush();
  progress_.clear();
}

}  // namespace sluice::cli
