// sluice resume: a run that stopped goes on in this process.
#include <memory>

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/run_end.h"
#include "host/run_service.h"

namespace sluice::cli {
namespace {

struct ResumeArguments {
  std::string run;
  LiveOptions live;
  bool accept_changes = false;
};

constexpr std::string_view kFooter =
    "Examples:\n"
    "  sluice resume last\n"
    "  sluice resume 01kd3 -o report.md\n"
    "  sluice resume 01kd3 --accept-changes     (another model file is good enough)\n"
    "\n"
    "What is done is taken over. Calls that were under way are made again with the same key, "
    "but\n"
    "for those that must happen only once: their tool is asked where it has a probe, else they "
    "are\n"
    "in doubt, and `sluice resolve` says what became of them.\n";

int resume_command(const ResumeArguments& arguments) {
  const LiveOptions& live = arguments.live;
  auto memory = check_live_options(live);
  if (!memory) return memory.error();
  auto chosen = require_run(live.journal, arguments.run);
  if (!chosen) return chosen.error();
  const RunSettings settings = live_settings(live, ".", *memory, chosen->journal.get());
  ResumeRequest request = resume_request(live, chosen->run.run_id);
  request.accept_changes = arguments.accept_changes;
  return watch_run(live, nullptr,
                   [&](RunObserver& observer) { return resume_run(request, settings, observer); });
}

}  // namespace

void add_resume(CLI::App& app, int& status) {
  auto arguments = std::make_shared<ResumeArguments>();
  add_run_argument(app, arguments->run);
  add_live_options(app, arguments->live);
  app.add_flag("--accept-changes", arguments->accept_changes,
               "Go on although a model is another than the one that the run began with");
  app.footer(std::string(kFooter));
  app.callback([arguments, &status] { status = resume_command(*arguments); });
}

}  // namespace sluice::cli
