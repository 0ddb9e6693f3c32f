// sluice runs tail: what happens in a run, event by event, also of one that another process is at.
#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <thread>

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/journal_options.h"
#include "cli/messages.h"
#include "cli/numbers_text.h"
#include "cli/run_watcher.h"
#include "cli/run_words.h"
#include "cli/trace_json.h"
#include "host/runs/past_run.h"

namespace sluice::cli {
namespace {

constexpr std::chrono::milliseconds kLookEvery{200};

struct TailArguments {
  std::string run;
  bool json = false;
  bool all = false;
  JournalOptions journal;
};

constexpr std::string_view kFooter =
    "Examples:\n"
    "  sluice runs tail last\n"
    "  sluice runs tail last --all --json > events.jsonl\n"
    "\n"
    "Ends when the run has ended, or stopped with nobody at it. Ctrl-C ends only the looking on.\n";

// One line of words an event; items and what only counts are left out.
std::string event_text(const TraceEvent& event) {
  std::string name = event.step == nullptr ? "" : event.step->logical.id;
  if (event.step != nullptr && event.step->mapped && event.call.task.item != kNoIndex) {
    name += fmt::format("[{}]", event.call.task.item);
  }
  std::string text;
  switch (event.kind) {
    case TraceKind::kItemsKnown:
    case TraceKind::kItemEmitted:
    case TraceKind::kRecoveryBegan:
    case TraceKind::kRecovered:
      return "";
    case TraceKind::kWaiting:
      text = event.wait == nullptr ? "waiting" : wait_text(*event.wait);
      break;
    case TraceKind::kRunEnded:
      text = event.outcome == nullptr
                 ? "the run ended"
                 : fmt::format("the run ended: {}", run_status_name(event.outcome->status));
      break;
    default:
      text = trace_kind_name(event.kind);
  }
  if (event.kind == TraceKind::kCallEnded && event.cached) {
    using From = CallReturned::From;
    text += event.from == From::kEarlierRun ? " from an earlier run"
            : event.from == From::kEqual    ? " as an equal call"
                                            : " from the cache";
  }
  if (event.usage.tokens() > 0)
    text += fmt::format(", {} tokens", count_text(event.usage.tokens()));
  if (event.error != nullptr) text += ": " + event.error->to_string();
  return fmt::format("{:>10}  {}{}{}\n", seconds_text(event.at), name, name.empty() ? "" : " ",
                     harmless(text));
}

class Tail final : public TraceSink {
 public:
  explicit Tail(bool json) : json_(json) {}
  void on_trace(const TraceEvent& event) override {
    if (silent_) return;
    text_ += json_ ? trace_line(event) + "\n" : event_text(event);
  }
  void be_silent(bool silent) { silent_ = silent; }
  bool flush(const Redactor& redactor) {
    auto written = write_out(redactor.clean(text_));
    text_.clear();
    if (!written) print_error(written.error());
    return written.has_value();
  }

 private:
  bool json_;
  bool silent_ = false;
  std::string text_;
};

// True while there may be more to come.
bool goes_on(const PastRun& run) {
  return run.journaled().state == JournaledRunState::kOpen && !run.journaled().owner.empty();
}

int tail_command(const TailArguments& arguments) {
  auto chosen = require_run(arguments.journal, arguments.run);
  if (!chosen) return chosen.error();
  Tail tail(arguments.json);
  PastRunOptions options;
  options.trace = &tail;
  // What is over is shown where there is nothing else to see.
  tail.be_silent(!arguments.all && !chosen->run.owner.empty());
  auto run = PastRun::read(*chosen->journal, chosen->run.run_id, options);
  if (!run) return end_with(run.error());
  tail.be_silent(false);
  while (tail.flush((*run)->redactor()) && goes_on(**run)) {
    std::this_thread::sleep_for(kLookEvery);
    auto more = (*run)->read_on();
    if (more) continue;
    return end_with(more.error());
  }
  if (!tail.flush((*run)->redactor())) return kRunFailed;
  if (!arguments.json) {
    write_err(
        fmt::format("run {} is {}\n", chosen->run.run_id, run_state_word((*run)->journaled())));
  }
  return kGood;
}

}  // namespace

void add_runs_tail(CLI::App& app, int& status) {
  auto arguments = std::make_shared<TailArguments>();
  add_run_argument(app, arguments->run);
  app.add_flag("--json", arguments->json, "One trace event a line as JSON");
  app.add_flag("--all", arguments->all, "From the beginning, not only what comes");
  add_journal_option(app, arguments->journal);
  app.footer(std::string(kFooter));
  app.callback([arguments, &status] { status = tail_command(*arguments); });
}

}  // namespace sluice::cli
