// sluice run: one run of a plan, watched by a person or a program.
#include <memory>
#include <utility>

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/messages.h"
#include "cli/optimizer_options.h"
#include "cli/params.h"
#include "cli/plan_file.h"
#include "cli/run_end.h"
#include "host/files/journal_place.h"
#include "host/runs/run_service.h"

namespace sluice::cli {
namespace {

struct RunArguments {
  std::string plan;
  ParamArguments params;
  LiveOptions live;
  OptimizerOptions optimizer;
};

constexpr std::string_view kFooter =
    "Examples:\n"
    "  sluice run plan.yaml\n"
    "  sluice run plan.yaml --param count=10 --param name=curl --param text=@notes.txt\n"
    "  sluice run plan.yaml --input rows.csv --input-param rows -o report.md\n"
    "  sluice run plan.yaml --model ~/models/other.gguf\n"
    "  sluice run plan.yaml --model http://127.0.0.1:8080/v1#my-model\n"
    "  sluice run plan.yaml --json | jq 'select(.event == \"task_failed\")'\n"
    "\n"
    "The result goes to standard output (text as it is, all else as JSON), progress and the "
    "report\n"
    "to standard error. Ctrl-C once lets running tasks end, twice cuts them off.\n"
    "\n"
    "The run is recorded as it goes. Whatever ends this process, `sluice resume last` goes on\n"
    "where it stopped: nothing that is done is done again. `sluice runs` lists what there is.\n";

// The journal to record in; null for none.
std::expected<std::unique_ptr<Journal>, ExitCode> journal_of(const JournalOptions& options) {
  if (options.without) return nullptr;
  auto journal = open_run_journal(journal_place(options.place));
  if (journal) return std::move(*journal);
  const ExitCode code = end_with(journal.error());
  write_err("a run that nothing needs to survive can do without: --no-journal\n");
  return std::unexpected(code);
}

int run_command(const RunArguments& arguments) {
  const LiveOptions& live = arguments.live;
  auto memory = check_live_options(live);
  if (!memory) return memory.error();
  auto optimizer = optimizer_settings(arguments.optimizer);
  if (!optimizer) return end_with(optimizer.error());
  auto checked = require_plan(arguments.plan, !live.output.quiet && !live.output.json);
  if (!checked) return checked.error();
  auto params = require_params(*checked, collect_params(*checked->plan, arguments.params));
  if (!params) return params.error();
  auto journal = journal_of(live.journal);
  if (!journal) return journal.error();
  RunSettings settings = live_settings(live, checked->folder, *memory, journal->get());
  settings.optimizer = std::move(*optimizer);
  const RunRequest request{checked->plan, std::move(*params), checked->texts, std::nullopt};
  return watch_run(live, &*checked,
                   [&](RunObserver& observer) { return run_plan(request, settings, observer); });
}

}  // namespace

void add_run(CLI::App& app, int& status) {
  auto arguments = std::make_shared<RunArguments>();
  app.add_option("PLAN", arguments->plan, "The plan, YAML or JSON; - reads standard input")
      ->required();
  add_param_options(app, arguments->params);
  add_live_options(app, arguments->live);
  add_no_journal_flag(app, arguments->live.journal);
  add_optimizer_options(app, arguments->optimizer);
  app.footer(std::string(kFooter));
  app.callback([arguments, &status] { status = run_command(*arguments); });
}

}  // namespace sluice::cli
