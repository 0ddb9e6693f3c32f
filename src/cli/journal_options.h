// Which journal a command works with, and which run in it. Prints what is wrong; the main thread.
#pragma once

#include <CLI/CLI.hpp>
#include <expected>
#include <memory>
#include <string>

#include "cli/exit_code.h"
#include "journal/journal.h"

namespace sluice::cli {

struct JournalOptions {
  std::string place;     // of --journal
  bool without = false;  // --no-journal
};

void add_journal_option(CLI::App& app, JournalOptions& options);
void add_no_journal_flag(CLI::App& app, JournalOptions& options);
// The run that a command is about: its id, a unique beginning of one, or "last".
void add_run_argument(CLI::App& app, std::string& run);

// The journal of a command over all runs. Where nothing was ever recorded and no place was named,
// that is said and good: the code is kGood.
std::expected<std::unique_ptr<Journal>, ExitCode> require_journal(const JournalOptions& options);

struct ChosenRun {
  std::unique_ptr<Journal> journal;
  JournaledRun run;
};
// The run that a person means, and the journal that has it.
std::expected<ChosenRun, ExitCode> require_run(const JournalOptions& options,
                                               const std::string& name);

// "--journal PLACE " where the person gave one, for commands that are shown to be typed.
std::string journal_argument(const JournalOptions& options);
// After a message was left for a run: who takes it, or what to type so that somebody does.
void say_who_takes_it(const JournaledRun& run, const JournalOptions& options);

}  // namespace sluice::cli
