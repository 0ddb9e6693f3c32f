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

// The journal of a command about runs that exist.
std::expected<std::unique_ptr<Journal>, ExitCode> require_journal(const JournalOptions& options);
// The run that a person means: an id, a unique beginning of one, or "last".
std::expected<JournaledRun, ExitCode> require_run(Journal& journal, const std::string& name);

// "--journal PLACE " where the person gave one, for commands that are shown to be typed.
std::string journal_argument(const JournalOptions& options);
// After a message was left for a run: who takes it, or what to type so that somebody does.
void say_who_takes_it(const JournaledRun& run, const JournalOptions& options);

}  // namespace sluice::cli
