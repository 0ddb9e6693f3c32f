// sluice cancel: a run ends without going on. Its own process is told; where it has none any more,
// this one takes it up for that.
#include <fmt/format.h>

#include <memory>

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/journal_options.h"
#include "cli/run_end.h"
#include "cli/run_options.h"
#include "cli/run_watcher.h"
#include "host/runs/run_messages.h"
#include "host/runs/run_service.h"

namespace sluice::cli {
namespace {

struct CancelArguments {
  std::string run;
  std::string reason;
  LiveOptions live;
};

constexpr std::string_view kFooter =
    "Examples:\n"
    "  sluice cancel last\n"
    "  sluice cancel 01kd3 \"wrong month\"\n"
    "  sluice cancel 01kd3 --dir moved/here     (where its tools find their files now)\n"
    "\n"
    "A cancelled run never goes on. Where its plan says `undo: true`, what its finished tasks did "
    "is\n"
    "undone first, the last one first. To stop a run and go on later, interrupt it instead "
    "(Ctrl-C).\n";

int tell(Journal& journal, const JournaledRun& run, const std::string& reason) {
  auto sent = send_message(journal, run.run_id, CancelMessage{reason});
  if (!sent) return end_with(sent.error());
  write_err(fmt::format("told {}: it cancels run {}\n", run.owner, run.run_id));
  return kGood;
}

// What was asked for was done, unless something could not be undone.
int exit_code_of_cancel(const RunReport& report) {
  for (const Error& error : report.outcome.errors) {
    if (error.code() == ErrorCode::kUndoFailed) return kRunFailed;
  }
  return kGood;
}

int take_up(Journal& journal, const JournaledRun& run, const CancelArguments& arguments,
            std::uint64_t memory) {
  const LiveOptions& live = arguments.live;
  const RunSettings settings = live_settings(live, ".", memory, &journal);
  ResumeRequest request = resume_request(live, run.run_id);
  request.cancel = arguments.reason;
  const Terminal terminal = terminal_of(2);
  RunWatcher watcher(live.output, terminal);
  auto report = resume_run(request, settings, watcher);
  watcher.finish();
  // Somebody was quicker: that process is told.
  if (!report && report.error().error && report.error().error->code() == ErrorCode::kRunBusy) {
    auto now = journal.find_run(run.run_id);
    if (now && !now->owner.empty()) return tell(journal, *now, arguments.reason);
  }
  SourceLines sources;
  const int status = finish_run(
      report, live.output, {"", {}, terminal, journal_argument(live.journal)}, sources, watcher);
  const bool cancelled = report && report->outcome.status == RunStatus::kCancelled;
  return cancelled ? exit_code_of_cancel(*report) : status;
}

int cancel_command(const CancelArguments& arguments) {
  auto memory = check_live_options(arguments.live);
  if (!memory) return memory.error();
  auto chosen = require_run(arguments.live.journal, arguments.run);
  if (!chosen) return chosen.error();
  const auto& [journal, run] = *chosen;
  if (run.state == JournaledRunState::kEnded) {
    return end_with(Error(ErrorCode::kRunEnded,
                          fmt::format("run {} has ended ({})", run.run_id, run.card.status)));
  }
  if (!run.owner.empty()) return tell(*journal, run, arguments.reason);
  return take_up(*journal, run, arguments, *memory);
}

}  // namespace

void add_cancel(CLI::App& app, int& status) {
  auto arguments = std::make_shared<CancelArguments>();
  add_run_argument(app, arguments->run);
  app.add_option("REASON", arguments->reason, "Why, for whoever looks at the run later");
  add_live_options(app, arguments->live);
  app.footer(std::string(kFooter));
  app.callback([arguments, &status] { status = cancel_command(*arguments); });
}

}  // namespace sluice::cli
