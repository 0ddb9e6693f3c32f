// sluice resume: a run that stopped goes on in this process.
#include <memory>
#include <optional>
#include <utility>

#include "cli/batch/batch_end.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/run_end.h"
#include "host/runs/run_service.h"
#include "runtime/recorded_plan.h"

namespace sluice::cli {
namespace {

struct ResumeArguments {
  std::string run;
  LiveOptions live;
  bool accept_changes = false;
  std::vector<std::string> budget;
};

constexpr std::string_view kFooter =
    "Examples:\n"
    "  sluice resume last\n"
    "  sluice resume 01kd3 -o report.md\n"
    "  sluice resume 01kd3 --accept-changes     (another model file is good enough)\n"
    "  sluice resume 01kd3 --budget usd=5       (a batch that has spent its budget)\n"
    "\n"
    "What is done is taken over. Calls that were under way are made again with the same key, "
    "but\n"
    "for those that must happen only once: their tool is asked where it has a probe, else they "
    "are\n"
    "in doubt, and `sluice resolve` says what became of them.\n";

// nullopt: it is none, or what it is cannot be read, which resuming it will say.
std::optional<BatchExtent> batch_of(Journal& journal, const std::string& run_id) {
  auto header = read_run_header(journal, run_id);
  if (!header) return std::nullopt;
  auto surroundings = decode_surroundings(header->settings);
  return surroundings ? surroundings->batch : std::nullopt;
}

// As it was watched when it began. With what is left of its budget, or another one from here on.
int go_on_with_batch(const ResumeArguments& arguments, const BatchExtent& extent,
                     const BatchBudget& budget, const ResumeRequest& request,
                     const RunSettings& settings) {
  const LiveOptions& live = arguments.live;
  RunWatcher watcher(live.output, terminal_of(2));
  watcher.expect_rows(extent.rows);
  const BudgetKeeper keeper(budget.bounded() ? budget : extent.budget, budget.bounded());
  BatchWatcher batch(watcher, {.sample = 0, .budget = keeper});
  auto report = resume_run(request, settings, batch);
  watcher.finish();
  const std::string journal = journal_argument(live.journal);
  ReportContext told{.terminal = terminal_of(2), .journal = journal};
  SourceLines no_sources;
  return conclude_batch(
      report, watcher, batch,
      {live, {terminal_of(2), journal, extent.rows}, std::move(told), no_sources});
}

int resume_command(const ResumeArguments& arguments) {
  const LiveOptions& live = arguments.live;
  auto memory = check_live_options(live);
  if (!memory) return memory.error();
  auto chosen = require_run(live.journal, arguments.run);
  if (!chosen) return chosen.error();
  const RunSettings settings = live_settings(live, ".", *memory, chosen->journal.get());
  ResumeRequest request = resume_request(live, chosen->run.run_id);
  request.accept_changes = arguments.accept_changes;
  auto budget = parse_batch_budget(arguments.budget);
  if (!budget) return end_with(budget.error());
  if (auto batch = batch_of(*chosen->journal, request.run_id)) {
    return go_on_with_batch(arguments, *batch, *budget, request, settings);
  }
  if (budget->bounded()) {
    return end_with(Error(ErrorCode::kUsage, "--budget is of a batch, and this run is none"));
  }
  return watch_run(live, nullptr,
                   [&](RunObserver& observer) { return resume_run(request, settings, observer); });
}

}  // namespace

void add_resume(CLI::App& app, int& status) {
  auto arguments = std::make_shared<ResumeArguments>();
  add_run_argument(app, arguments->run);
  add_live_options(app, arguments->live);
  app.add_flag("--accept-changes", arguments->accept_changes,
               "Go on although a model or a batch's input is another than the one that the run "
               "began with, and replace an output that has come to be there");
  app.add_option(
         "--budget", arguments->budget,
         "Of a batch: what may be spent from here on, as usd=5, tokens=200000, seconds=3600 "
         "(default: what is left of its own)")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("BOUND");
  app.footer(std::string(kFooter));
  app.callback([arguments, &status] { status = resume_command(*arguments); });
}

}  // namespace sluice::cli
