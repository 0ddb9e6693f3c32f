// sluice runs show: a run as its journal tells it, also while another process is at it.
#include <fmt/format.h>

#include <map>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/journal_options.h"
#include "cli/messages.h"
#include "cli/numbers_text.h"
#include "cli/run_words.h"
#include "cli/summary_text.h"
#include "cli/trace_json.h"
#include "data/json.h"
#include "host/runs/past_run.h"
#include "host/runs/replans.h"

namespace sluice::cli {
namespace {

constexpr std::size_t kMostAttempts = 20;
constexpr std::size_t kMostErrors = 10;
constexpr std::size_t kMostNotes = 10;

struct ShowArguments {
  std::string run;
  bool json = false;
  JournalOptions journal;
};

constexpr std::string_view kFooter =
    "Examples:\n"
    "  sluice runs show last\n"
    "  sluice runs show 01kd3 --json | jq .steps\n";

// What is kept of the run as it goes by: attempts that failed (the last ones), and other forms of
// its steps.
class Passing final : public TraceSink {
 public:
  struct Attempt {
    std::string step;
    CallRef call;
    Error error;
    SteadyNs at = 0;
  };
  void on_trace(const TraceEvent& event) override {
    replans_.on_trace(event);
    if (event.kind != TraceKind::kCallEnded || event.error == nullptr || event.step == nullptr) {
      return;
    }
    ++count_;
    if (attempts_.size() == kMostAttempts) attempts_.erase(attempts_.begin());
    attempts_.push_back({event.step->logical.id, event.call, *event.error, event.at});
  }
  void restored(std::string_view folded) override { replans_.restored(folded); }
  const std::vector<Attempt>& last() const { return attempts_; }
  std::uint64_t count() const { return count_; }

  const std::vector<StepReplan>& replans() const { return replans_.replans(); }

 private:
  std::vector<Attempt> attempts_;
  ReplanFold replans_;
  std::uint64_t count_ = 0;
};

std::string headline(const PastRun& run, const Terminal& terminal) {
  const JournaledRun& journaled = run.journaled();
  const std::string state = run_state_word(journaled);
  std::string text =
      fmt::format("run {} {}", journaled.run_id, painted(terminal, run_state_ink(state), state));
  if (!journaled.owner.empty()) text += fmt::format(" ({})", journaled.owner);
  text += fmt::format("\n  plan {}, begun {}, {} ago\n", harmless(journaled.card.plan),
                      time_text(run.header().wall_ns),
                      age_text(system_clock().wall_ns() - run.header().wall_ns));
  if (!run.header().forked_from.empty()) {
    text += fmt::format("  forked from {} at step {}\n", run.header().forked_from,
                        run.header().fork_step);
  }
  return text;
}

std::string segments_text(const PastRun& run) {
  const auto& segments = run.segments();
  const SteadyNs life = segments.back().until_ns;
  std::string text =
      fmt::format("  life {} in {}, {}, {} on disk\n", seconds_text(life),
                  plural(segments.size(), "process run"), plural(run.last_seq(), "record"),
                  bytes_text(run.journaled().bytes));
  if (segments.size() < 2) return text;
  for (const RunSegment& segment : segments) {
    text +=
        fmt::format("    {}  at {:>9}  for {:>9}  sluice {}{}\n", time_text(segment.wall_ns),
                    seconds_text(segment.from_ns), seconds_text(segment.until_ns - segment.from_ns),
                    segment.program, segment.owner.empty() ? "" : "  " + segment.owner);
  }
  return text;
}

std::string attempts_text(const Passing& attempts, const Terminal& terminal) {
  if (attempts.count() == 0) return "";
  std::string text = painted(terminal, Ink::kDim, "failed attempts") + "\n";
  if (attempts.count() > attempts.last().size()) {
    text +=
        fmt::format("  {} before these\n", count_text(attempts.count() - attempts.last().size()));
  }
  for (const auto& attempt : attempts.last()) {
    std::string name = attempt.step;
    if (attempt.call.task.item != kNoIndex && attempt.call.task.item > 0) {
      name += fmt::format("[{}]", attempt.call.task.item);
    }
    text += fmt::format("  at {:>9}  {} attempt {}: {}\n", seconds_text(attempt.at), name,
                        attempt.call.attempt, harmless(attempt.error.to_string()));
  }
  return text;
}

std::string ending_text(PastRun& run, const Terminal& terminal) {
  std::string text;
  if (run.ended()) {
    const auto& errors = run.ended()->errors;
    for (std::size_t i = 0; i < errors.size() && i < kMostErrors; ++i) {
      text += fmt::format("{}: {}\n", painted(terminal, Ink::kRed, "error"), harmless(errors[i]));
    }
    if (errors.size() > kMostErrors)
      text += fmt::format("and {} more\n", errors.size() - kMostErrors);
    return text;
  }
  const RunOutcome outcome = run.state().outcome(RunStatus::kInterrupted);
  for (std::size_t i = 0; i < outcome.errors.size() && i < kMostErrors; ++i) {
    text += error_text(outcome.errors[i], run.plan().plan->files, terminal);
  }
  return text;
}

std::string show_text(PastRun& run, const Passing& passing, const std::string& journal) {
  const Terminal terminal = terminal_of(1);
  std::string text = headline(run, terminal) + segments_text(run);
  text += steps_table(run.summary(), terminal) + tokens_line(run.summary());
  text += critical_path_line(run.summary().critical_path);
  for (const StepReplan& replan : passing.replans()) {
    text += fmt::format("  {} planned anew: {}\n", replan.step, replan_text(replan));
  }
  text += attempts_text(passing, terminal);
  const auto& notes = run.notes();
  for (std::size_t i = notes.size() > kMostNotes ? notes.size() - kMostNotes : 0; i < notes.size();
       ++i) {
    text += fmt::format("note {}: {}\n", time_text(notes[i].wall_ns), harmless(notes[i].text));
  }
  text += ending_text(run, terminal);
  if (run.ended()) return text;
  const auto doubts = run.state().doubts();
  const auto waits = run.state().waits();
  const OpenQuestions questions{run.journaled().run_id, journal, doubts, waits};
  text += doubts_text(questions, terminal) + waits_text(questions, terminal);
  if (run.journaled().owner.empty()) {
    text += fmt::format("next: sluice resume{} {}\n", journal, run.journaled().run_id);
  }
  return text;
}

// --- JSON

Value text(const std::string& bytes) { return Value::from_utf8(bytes).value_or(Value()); }
Value number(std::uint64_t count) { return Value::integer(static_cast<std::int64_t>(count)); }
Value milliseconds(std::int64_t ns) { return Value::number(static_cast<double>(ns / 1000) / 1000); }

Value steps_json(const RunSummary& summary) {
  std::vector<Value> steps;
  for (const StepSummary& step : summary.steps) {
    steps.push_back(Value::object({{"step", text(step.id)},
                                   {"what", text(step.operator_name)},
                                   {"known", number(step.known)},
                                   {"done", number(step.done)},
                                   {"skipped", number(step.skipped)},
                                   {"failed", number(step.failed)},
                                   {"in_doubt", number(step.in_doubt)},
                                   {"running", number(step.running)},
                                   {"calls", number(step.calls)},
                                   {"retries", number(step.retries)},
                                   {"cached", number(step.cached)},
                                   {"equal", number(step.equal)},
                                   {"earlier", number(step.earlier)},
                                   {"hedged", number(step.hedged)},
                                   {"tokens", number(step.usage.tokens())},
                                   {"busy_ms", milliseconds(step.busy_ns)}}));
  }
  return Value::array(std::move(steps));
}

Value open_json(PastRun& run) {
  std::vector<Value> doubts, waits;
  for (const RunState::Doubt& doubt : run.state().doubts()) {
    doubts.push_back(
        Value::object({{"task", text(doubt.task_id)}, {"error", error_value(doubt.error)}}));
  }
  for (const RunState::Waiting& waiting : run.state().waits()) {
    std::vector<Value::Member> members{{"task", text(waiting.task_id)},
                                       {"signal", text(waiting.wait.signal)},
                                       {"of", text(waiting.wait.of)},
                                       {"ask", text(waiting.wait.ask)}};
    if (waiting.wait.until_wall_ns != 0) {
      members.emplace_back("until", text(time_text(waiting.wait.until_wall_ns)));
    }
    waits.push_back(Value::object(std::move(members)));
  }
  return Value::object(
      {{"doubts", Value::array(std::move(doubts))}, {"waits", Value::array(std::move(waits))}});
}

Value show_json(PastRun& run, const Passing& passing) {
  std::vector<Value> segments, failed, errors, notes;
  for (const RunSegment& segment : run.segments()) {
    segments.push_back(Value::object({{"program", text(segment.program)},
                                      {"owner", text(segment.owner)},
                                      {"at", text(time_text(segment.wall_ns))},
                                      {"from_ms", milliseconds(segment.from_ns)},
                                      {"until_ms", milliseconds(segment.until_ns)}}));
  }
  for (const auto& attempt : passing.last()) {
    failed.push_back(Value::object({{"step", text(attempt.step)},
                                    {"item", number(attempt.call.task.item)},
                                    {"attempt", number(attempt.call.attempt)},
                                    {"at_ms", milliseconds(attempt.at)},
                                    {"error", error_value(attempt.error)}}));
  }
  std::vector<Value::Member> members;
  for (const auto& member : run_json(run.journaled()).members()) members.push_back(member);
  if (run.ended()) {
    for (const std::string& error : run.ended()->errors) errors.push_back(text(error));
    auto result = run.load(run.ended()->result);
    members.emplace_back("result", result ? std::move(*result) : Value());
  } else {
    for (const Error& error : run.state().outcome(RunStatus::kInterrupted).errors) {
      errors.push_back(text(error.to_string()));
    }
    members.emplace_back("open", open_json(run));
  }
  for (const NoteRecord& note : run.notes()) notes.push_back(text(note.text));
  members.emplace_back("life_ms", milliseconds(run.segments().back().until_ns));
  members.emplace_back("segments", Value::array(std::move(segments)));
  members.emplace_back("steps", steps_json(run.summary()));
  members.emplace_back("replans", replans_json(passing.replans()));
  members.emplace_back("failed_attempts", number(passing.count()));
  members.emplace_back("last_failed_attempts", Value::array(std::move(failed)));
  members.emplace_back("errors", Value::array(std::move(errors)));
  members.emplace_back("notes", Value::array(std::move(notes)));
  return Value::object(std::move(members));
}

int show_command(const ShowArguments& arguments) {
  auto chosen = require_run(arguments.journal, arguments.run);
  if (!chosen) return chosen.error();
  Passing passing;
  PastRunOptions options;
  options.trace = &passing;
  auto run = PastRun::read(*chosen->journal, chosen->run.run_id, options);
  if (!run) return end_with(run.error());
  const std::string shown = arguments.json
                                ? to_json(show_json(**run, passing)) + "\n"
                                : show_text(**run, passing, journal_argument(arguments.journal));
  return print_text((*run)->redactor().clean(shown));
}

}  // namespace

void add_runs_show(CLI::App& app, int& status) {
  auto arguments = std::make_shared<ShowArguments>();
  add_run_argument(app, arguments->run);
  app.add_flag("--json", arguments->json, "As one JSON object");
  add_journal_option(app, arguments->journal);
  app.footer(std::string(kFooter));
  app.callback([arguments, &status] { status = show_command(*arguments); });
}

}  // namespace sluice::cli
