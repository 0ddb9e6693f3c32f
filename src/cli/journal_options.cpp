#include "cli/journal_options.h"

#include <fmt/format.h>

#include "cli/messages.h"
#include "host/journal_place.h"
#include "host/past_run.h"

namespace sluice::cli {

void add_journal_option(CLI::App& app, JournalOptions& options) {
  app.add_option("--journal", options.place,
                 "Where runs are recorded: a file, or postgresql://... (default: SLUICE_JOURNAL, "
                 "else sluice/journal.db in $XDG_STATE_HOME or ~/.local/state)")
      ->type_name("FILE|URL");
}

void add_no_journal_flag(CLI::App& app, JournalOptions& options) {
  app.add_flag("--no-journal", options.without,
               "Record nothing: the run is lost when this process ends");
}

std::expected<std::unique_ptr<Journal>, ExitCode> require_journal(const JournalOptions& options) {
  auto journal = open_existing_journal(journal_place(options.place));
  if (journal) return std::move(*journal);
  print_error(journal.error());
  return std::unexpected(exit_code_of(journal.error()));
}

std::expected<JournaledRun, ExitCode> require_run(Journal& journal, const std::string& name) {
  auto run = find_run(journal, name);
  if (run) return std::move(*run);
  print_error(run.error());
  return std::unexpected(exit_code_of(run.error()));
}

std::string journal_argument(const JournalOptions& options) {
  return options.place.empty() ? "" : fmt::format(" --journal {}", shell_word(options.place));
}

void say_who_takes_it(const JournaledRun& run, const JournalOptions& options) {
  if (!run.owner.empty()) {
    write_err(fmt::format("{} takes it\n", run.owner));
  } else {
    write_err(fmt::format("no process has the run; next: sluice resume{} {}\n",
                          journal_argument(options), run.run_id));
  }
}

}  // namespace sluice::cli
