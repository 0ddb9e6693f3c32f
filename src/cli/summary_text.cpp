#include "cli/summary_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/messages.h"
#include "cli/numbers_text.h"
#include "cli/run_watcher.h"

namespace sluice::cli {
namespace {

constexpr std::size_t kMostHops = 8;
constexpr std::size_t kMostQuestions = 20;

std::string blank_when_zero(std::uint64_t count) { return count == 0 ? "" : count_text(count); }

std::string extras(const StepSummary& step) {
  std::string text;
  auto add = [&](std::uint64_t count, std::string_view what) {
    if (count > 0) text += fmt::format("  {} {}", count_text(count), what);
  };
  add(step.running, "under way");
  add(step.waiting, "waiting");
  add(step.retries, "retried");
  add(step.earlier, "from earlier runs");
  add(step.equal, "as an equal call");
  add(step.cached - std::min(step.cached, step.earlier + step.equal), "from the cache");
  add(step.hedged, "tried twice");
  add(step.in_doubt, "in doubt");
  add(step.undone, "undone");
  return text;
}

// How a person says that a task may be any of many: the commands take it as it stands.
std::string and_more(std::size_t all) {
  return all <= kMostQuestions ? "" : fmt::format("  and {} more\n", all - kMostQuestions);
}

}  // namespace

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
    const std::string row =
        fmt::format("  {:<{}}  {:<5} {:>7} {:>7} {:>7} {:>7} {:>9} {:>10}{}", step.id, width,
                    step.operator_name, count_text(step.done), blank_when_zero(step.skipped),
                    blank_when_zero(step.failed), blank_when_zero(step.calls),
                    blank_when_zero(step.usage.tokens()),
                    step.busy_ns == 0 ? "" : seconds_text(step.busy_ns), extras(step));
    text += (step.failed > 0 ? painted(terminal, Ink::kRed, row) : row) + "\n";
  }
  return text;
}

std::string tokens_line(const RunSummary& summary) {
  const Usage& usage = summary.usage;
  if (usage.tokens() == 0) return "";
  const double seconds = static_cast<double>(summary.end_ns - summary.start_ns) / kNsPerSecond;
  std::string text = fmt::format("  tokens: {} read ({} of them from a shared prefix), {} written",
                                 count_text(usage.prompt_tokens), count_text(usage.cached_tokens),
                                 count_text(usage.completion_tokens));
  if (seconds > 0) {
    text += fmt::format(", {} tokens/s", rate_text(static_cast<double>(usage.tokens()) / seconds));
  }
  if (usage.usd > 0) text += fmt::format(", {:.4f} usd", usage.usd);
  return text + "\n";
}

std::string chain_text(std::size_t hops, const std::function<std::string(std::size_t)>& hop) {
  std::string text;
  for (std::size_t i = 0; i < hops; ++i) {
    if (hops > kMostHops && i == kMostHops / 2) {
      text += fmt::format(" -> ... {} more", hops - kMostHops);
      i = hops - kMostHops / 2;
    }
    text += (text.empty() ? "" : " -> ") + hop(i);
  }
  return text;
}

std::string critical_path_line(const std::vector<CriticalHop>& hops) {
  if (hops.empty()) return "";
  const std::string chain = chain_text(hops.size(), [&](std::size_t i) {
    return fmt::format("{} {}", hops[i].task_id, seconds_text(hops[i].end_ns - hops[i].start_ns));
  });
  return "  critical path: " + chain + "\n";
}

std::string replan_text(const StepReplan& replan) {
  std::string text = fmt::format("rows from {} on", count_text(replan.from_item + 1));
  if (replan.before != replan.after) {
    text += fmt::format(": {} instead of {}", replan.after, replan.before);
  }
  if (replan.at) text += fmt::format(", decided at {}", seconds_text(*replan.at));
  return text + ": " + harmless(replan.why);
}

Value replans_json(const std::vector<StepReplan>& replans) {
  auto text = [](const std::string& bytes) { return Value::from_utf8(bytes).value_or(Value()); };
  std::vector<Value> made;
  for (const StepReplan& each : replans) {
    made.push_back(Value::object(
        {{"step", text(each.step)},
         {"from_item", Value::integer(static_cast<std::int64_t>(each.from_item))},
         {"at_ms", each.at ? Value::number(static_cast<double>(*each.at / 1000) / 1000) : Value()},
         {"before", text(each.before)},
         {"after", text(each.after)},
         {"why", text(each.why)}}));
  }
  return Value::array(std::move(made));
}

std::string doubts_text(const OpenQuestions& questions, const Terminal& terminal) {
  std::string text;
  for (std::size_t i = 0; i < questions.doubts.size() && i < kMostQuestions; ++i) {
    const RunState::Doubt& doubt = questions.doubts[i];
    const std::string command = fmt::format("sluice resolve{} {} {}", questions.journal,
                                            questions.run_id, shell_word(doubt.task_id));
    text += fmt::format("{} {}: {}\n", painted(terminal, Ink::kYellow, "in doubt"), doubt.task_id,
                        harmless(doubt.error.to_string()));
    text += fmt::format("  {} --done JSON         it happened, and gave this\n", command);
    text += fmt::format("  {} --failed [REASON]   it did not happen, and is not to be\n", command);
    text += fmt::format("  {} --retry             call it again\n", command);
  }
  return text + and_more(questions.doubts.size());
}

std::string waits_text(const OpenQuestions& questions, const Terminal& terminal) {
  std::string text;
  for (std::size_t i = 0; i < questions.waits.size() && i < kMostQuestions; ++i) {
    const RunState::Waiting& waiting = questions.waits[i];
    text += fmt::format("{} {}\n", painted(terminal, Ink::kCyan, waiting.task_id),
                        harmless(wait_text(waiting.wait)));
    if (waiting.wait.signal.empty()) continue;
    const bool many =
        std::ranges::count(questions.waits, waiting.wait.signal,
                           [](const RunState::Waiting& other) { return other.wait.signal; }) > 1;
    text += fmt::format("  sluice signal{} {} {} JSON{}\n", questions.journal, questions.run_id,
                        waiting.wait.signal, many ? " --task " + shell_word(waiting.task_id) : "");
  }
  return text + and_more(questions.waits.size());
}

}  // namespace sluice::cli
