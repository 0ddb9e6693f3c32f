// sluice replay: every decision of a run once more, from its journal; the first that differs.
#include <fmt/format.h>

#include <memory>
#include <set>

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/journal_options.h"
#include "cli/messages.h"
#include "cli/numbers_text.h"
#include "data/json.h"
#include "host/runs/past_run.h"

namespace sluice::cli {
namespace {

struct ReplayArguments {
  std::string run;
  bool json = false;
  JournalOptions journal;
};

constexpr std::string_view kFooter =
    "Examples:\n"
    "  sluice replay last\n"
    "\n"
    "Nothing is called: what came from outside is taken from the journal, all else is worked out "
    "again\n"
    "and compared. A difference under the same version of sluice is a bug of ours.\n";

// Versions other than this one that had the run.
std::set<std::string> other_programs(const PastRun& run) {
  std::set<std::string> others;
  for (const RunSegment& segment : run.segments()) {
    if (segment.program != SLUICE_VERSION) others.insert(segment.program);
  }
  return others;
}

std::string replay_text(PastRun& run) {
  const auto& difference = run.recovery().difference();
  if (!difference) {
    return fmt::format("run {}: {} events, every decision the same\n", run.journaled().run_id,
                       count_text(run.recovery().events()));
  }
  return fmt::format("run {} differs before record {}\n  was: {}\n  now: {}\n",
                     run.journaled().run_id, difference->seq, harmless(difference->was),
                     harmless(difference->now));
}

std::string replay_json(PastRun& run) {
  auto text = [](const std::string& bytes) { return Value::from_utf8(bytes).value_or(Value()); };
  const auto& difference = run.recovery().difference();
  std::vector<Value::Member> members{
      {"run", text(run.journaled().run_id)},
      {"events", Value::integer(static_cast<std::int64_t>(run.recovery().events()))},
      {"same", Value::boolean(!difference)}};
  if (difference) {
    members.emplace_back("record", Value::integer(static_cast<std::int64_t>(difference->seq)));
    members.emplace_back("was", text(difference->was));
    members.emplace_back("now", text(difference->now));
  }
  return to_json(Value::object(std::move(members))) + "\n";
}

int replay_command(const ReplayArguments& arguments) {
  auto chosen = require_run(arguments.journal, arguments.run);
  if (!chosen) return chosen.error();
  PastRunOptions options;
  options.check = true;
  auto run = PastRun::read(*chosen->journal, chosen->run.run_id, options);
  if (!run) return end_with(run.error());
  const std::string text = arguments.json ? replay_json(**run) : replay_text(**run);
  if (const ExitCode failed = print_text((*run)->redactor().clean(text))) return failed;
  for (const std::string& other : other_programs(**run)) {
    write_err(
        fmt::format("note: sluice {} had the run, this is {}: another version may decide "
                    "otherwise\n",
                    other, SLUICE_VERSION));
  }
  return (*run)->recovery().difference() ? kRunFailed : kGood;
}

}  // namespace

void add_replay(CLI::App& app, int& status) {
  auto arguments = std::make_shared<ReplayArguments>();
  add_run_argument(app, arguments->run);
  app.add_flag("--json", arguments->json, "As one JSON object");
  add_journal_option(app, arguments->journal);
  app.footer(std::string(kFooter));
  app.callback([arguments, &status] { status = replay_command(*arguments); });
}

}  // namespace sluice::cli
