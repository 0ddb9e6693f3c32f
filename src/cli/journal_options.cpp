#include "cli/journal_options.h"

#include <fmt/format.h>

#include "cli/messages.h"
#include "host/files/journal_place.h"
#include "host/runs/past_run.h"

namespace sluice::cli {

void add_journal_option(CLI::App& app, JournalOptions& options) {
  app.add_option("--journal", options.place,
                 "Where runs are recorded: a file, or postgresql://... (default: SLUICE_JOURNAL, "
                 "else sluice/journal.db in $XDG_STATE_HOME or ~/.local/state)")
      ->type_name("FILE|URL");
  // `runs --journal PLACE show` means the same as `runs show --journal PLACE`.
  const CLI::App* above = app.get_parent();
  const CLI::Option* named = above ? above->get_option_no_throw("--journal") : nullptr;
  if (named == nullptr) return;
  app.preparse_callback([named, &options](std::size_t) {
    if (!named->empty()) options.place = named->results().back();
  });
}

void add_no_journal_flag(CLI::App& app, JournalOptions& options) {
  app.add_flag("--no-journal", options.without,
               "Record nothing: the run is lost when this process ends");
}

void add_run_argument(CLI::App& app, std::string& run) {
  app.add_option("RUN", run, "The run: its id, a beginning of it, or last")->required();
}

std::expected<std::unique_ptr<Journal>, ExitCode> require_journal(const JournalOptions& options) {
  if (nothing_recorded_yet(options.place)) {
    write_err("no run was recorded yet; sluice run records each\n");
    return std::unexpected(kGood);
  }
  auto journal = open_existing_journal(journal_place(options.place));
  if (journal) return std::move(*journal);
  return std::unexpected(end_with(journal.error()));
}

std::expected<ChosenRun, ExitCode> require_run(const JournalOptions& options,
                                               const std::string& name) {
  auto journal = open_existing_journal(journal_place(options.place));
  if (!journal) return std::unexpected(end_with(journal.error()));
  auto run = find_run(**journal, name);
  if (!run) return std::unexpected(end_with(run.error()));
  return ChosenRun{std::move(*journal), std::move(*run)};
}

std::string journal_argument(const JournalOptions& options) {
  return options.place.empty()
             ? ""
             : fmt::format(" --journal {}", shell_word(shown_place(options.place)));
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
