#include "cli/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "cli/numbers_text.h"
#include "host/runs/batch_plan.h"

namespace sluice::cli {
namespace {

constexpr std::int64_t kRateWindowNs = 3 * kNsPerSecond;
constexpr std::int64_t kPlainEveryNs = 2 * kNsPerSecond;
constexpr std::size_t kMostStepLines = 10;

std::uint64_t ended(const StepSummary& step) {
  return step.done + step.skipped + step.failed + step.in_doubt;
}

// Items of a stream may be through before they are counted.
std::uint64_t known(const StepSummary& step) { return std::max(step.known, ended(step)); }

// Cut to what fits on a line of the terminal, at a character.
std::string fitted(std::string text, int columns) {
  const auto most = static_cast<std::size_t>(std::max(columns - 1, 10));
  if (text.size() <= most) return text;
  text.resize(most);
  while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xC0) == 0x80) text.pop_back();
  return text;
}

std::string step_text(const StepSummary& step) {
  std::string text = fmt::format("{}/{}{}", count_text(ended(step)), count_text(known(step)),
                                 step.closed ? "" : "+");
  if (step.running > 0) text += fmt::format(", {} running", count_text(step.running));
  if (step.waiting > 0) text += fmt::format(", {} waiting", count_text(step.waiting));
  if (step.failed > 0) text += fmt::format(", {} failed", count_text(step.failed));
  if (step.in_doubt > 0) text += fmt::format(", {} in doubt", count_text(step.in_doubt));
  if (step.retries > 0) text += fmt::format(", {} retried", count_text(step.retries));
  if (step.earlier > 0) text += fmt::format(", {} from earlier runs", count_text(step.earlier));
  return text;
}

bool busy(const StepSummary& step) {
  return step.running > 0 || (step.known > 0 && ended(step) < step.known);
}

std::string bar(const StepSummary& step) {
  constexpr std::uint64_t kWidth = 16;
  const std::uint64_t filled = known(step) == 0 ? 0 : ended(step) * kWidth / known(step);
  return "[" + std::string(filled, '#') + std::string(kWidth - filled, '.') + "]";
}

// Of a batch: how its rows stand. Steps of the user's plan may have the name too: they come later.
const StepSummary* kept_rows(const RunSummary& summary) {
  for (const StepSummary& step : summary.steps) {
    if (step.id == kBatchPutStep) return &step;
  }
  return nullptr;
}

}  // namespace

void Rates::sample(SteadyNs now, std::uint64_t tasks, std::uint64_t tokens) {
  samples_.push_back({now, tasks, tokens});
  while (samples_.size() > 2 && samples_.front().at < now - kRateWindowNs) samples_.pop_front();
}

double Rates::tasks_per_second() const {
  if (samples_.size() < 2 || samples_.back().at <= samples_.front().at) return 0;
  const double seconds =
      static_cast<double>(samples_.back().at - samples_.front().at) / kNsPerSecond;
  return static_cast<double>(samples_.back().tasks - samples_.front().tasks) / seconds;
}

double Rates::tokens_per_second() const {
  if (samples_.size() < 2 || samples_.back().at <= samples_.front().at) return 0;
  const double seconds =
      static_cast<double>(samples_.back().at - samples_.front().at) / kNsPerSecond;
  return static_cast<double>(samples_.back().tokens - samples_.front().tokens) / seconds;
}

std::optional<std::int64_t> time_left_ns(const RunSummary& summary, SteadyNs now) {
  std::optional<std::int64_t> longest;
  for (const StepSummary& step : summary.steps) {
    const std::uint64_t through = step.done + step.failed;  // skipped ones cost nothing
    if (step.known < 2 || ended(step) >= step.known) continue;
    // The first few of many that run side by side would promise far too long a time; those under
    // way count as half done.
    if (through < std::min<std::uint64_t>(3, step.known - 1)) return std::nullopt;
    if (through == 0 || step.first_ns == 0 || now <= step.first_ns) return std::nullopt;
    const double worked = static_cast<double>(through) + 0.5 * static_cast<double>(step.running);
    const double per_task = static_cast<double>(now - step.first_ns) / worked;
    const auto left =
        static_cast<std::int64_t>(per_task * static_cast<double>(step.known - ended(step)));
    longest = std::max(longest.value_or(0), left);
  }
  return longest;
}

void Progress::show(const RunSummary& summary, const EngineStats& engines, SteadyNs now) {
  std::uint64_t tasks = 0;
  for (const StepSummary& step : summary.steps) tasks += ended(step);
  // An engine counts tokens as they come; servers tell theirs at the end of a call.
  const std::uint64_t live = engines.prefill_tokens + engines.decode_tokens + engines.forced_tokens;
  const std::uint64_t tokens = std::max(live, summary.usage.tokens());
  rates_.sample(now, tasks, tokens);
  const StepSummary* rows = kept_rows(summary);
  if (rows_expected_ > 0 && rows != nullptr) row_rates_.sample(now, rows->done, tokens);
  if (terminal_.interactive) {
    redraw(summary, now);
  } else {
    print_plain(summary, now);
  }
}

// Rows of a batch, how fast they come, what they cost so far, and when the last will be done.
std::string Progress::rows_text(const RunSummary& summary, SteadyNs now) const {
  const StepSummary* rows = kept_rows(summary);
  const std::uint64_t done = rows != nullptr ? std::min(rows->done, rows_expected_) : 0;
  std::string text = fmt::format("{}  {}/{} rows", seconds_text(now - summary.start_ns),
                                 count_text(done), count_text(rows_expected_));
  if (double rate = row_rates_.tasks_per_second(); rate > 0)
    text += fmt::format("  {} rows/s", rate_text(rate));
  if (double rate = rates_.tokens_per_second(); rate > 0)
    text += fmt::format("  {} tokens/s", rate_text(rate));
  if (summary.usage.usd > 0) text += fmt::format("  {:.4f} usd", summary.usage.usd);
  if (done < 3 || done >= rows_expected_ || now <= summary.start_ns) return text;
  const double per_row = static_cast<double>(now - summary.start_ns) / static_cast<double>(done);
  const auto left = static_cast<std::int64_t>(per_row * static_cast<double>(rows_expected_ - done));
  return text + fmt::format("  about {} left", seconds_text(left));
}

std::string Progress::speed_text(const RunSummary& summary, SteadyNs now) const {
  if (rows_expected_ > 0) return rows_text(summary, now);
  std::string text = seconds_text(now - summary.start_ns);
  if (double rate = rates_.tasks_per_second(); rate > 0)
    text += fmt::format("  {} tasks/s", rate_text(rate));
  if (double rate = rates_.tokens_per_second(); rate > 0)
    text += fmt::format("  {} tokens/s", rate_text(rate));
  if (auto left = time_left_ns(summary, now))
    text += fmt::format("  about {} left", seconds_text(*left));
  return text;
}

void Progress::redraw(const RunSummary& summary, SteadyNs now) {
  std::vector<const StepSummary*> shown;
  for (const StepSummary& step : summary.steps) {
    if (busy(step)) shown.push_back(&step);
  }
  for (const StepSummary& step : summary.steps) {
    if (shown.size() < kMostStepLines && !busy(step) && step.known > 0) shown.push_back(&step);
  }
  if (shown.size() > kMostStepLines) shown.resize(kMostStepLines);
  std::ranges::sort(shown);  // plan order: they lie in one vector
  std::size_t width = 4;
  for (const StepSummary* step : shown)
    width = std::max(width, std::min<std::size_t>(step->id.size(), 30));
  const int columns = terminal_.columns();
  std::string text = drawn_lines_ > 0 ? fmt::format("\x1b[{}A", drawn_lines_) : "";
  for (const StepSummary* step : shown) {
    std::string line = fitted(
        fmt::format("  {:<{}} {} {}", step->id, width, bar(*step), step_text(*step)), columns);
    const bool over = !busy(*step);
    const Ink ink = step->failed > 0 ? Ink::kRed : over ? Ink::kGreen : Ink::kCyan;
    text += "\x1b[2K" + painted(terminal_, ink, line) + "\n";
  }
  text += "\x1b[2K" + fitted("  " + speed_text(summary, now), columns) + "\n\x1b[J";
  drawn_lines_ = static_cast<int>(shown.size()) + 1;
  write_err(text);
}

void Progress::print_plain(const RunSummary& summary, SteadyNs now) {
  if (last_plain_ == 0) last_plain_ = summary.start_ns;
  if (summary.start_ns == 0 || now - last_plain_ < kPlainEveryNs) return;
  last_plain_ = now;
  std::string steps;
  for (const StepSummary& step : summary.steps) {
    const bool moving = step.running > 0 || (busy(step) && ended(step) > 0 && step.waiting == 0);
    if (moving) steps += fmt::format("; {} {}", step.id, step_text(step));
  }
  // What waits for a person may do so for days, and was said when it began.
  const bool only_waits =
      steps.empty() &&
      std::ranges::any_of(summary.steps, [](const StepSummary& step) { return step.waiting > 0; });
  if (!only_waits) write_err(speed_text(summary, now) + steps + "\n");
}

void Progress::say(std::string_view line) {
  clear();
  write_err(fmt::format("{}\n", harmless(line)));
}

void Progress::clear() {
  if (drawn_lines_ > 0) write_err(fmt::format("\x1b[{}A\x1b[J", drawn_lines_));
  drawn_lines_ = 0;
}

}  // namespace sluice::cli
