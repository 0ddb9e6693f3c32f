// Where runs are journaled, and opening it. Blocks; any thread.
#pragma once

#include <memory>
#include <string>

#include "base/error.h"
#include "journal/journal.h"

namespace sluice {

// `given` (of --journal), else SLUICE_JOURNAL, else $XDG_STATE_HOME/sluice/journal.db, else
// ~/.local/state/sluice/journal.db.
std::string journal_place(const std::string& given);

// As people may read it, in messages and in commands to type: a password is left out.
std::string shown_place(const std::string& place);

// Nobody named a place, and nothing was ever recorded at the one that is used then.
bool nothing_recorded_yet(const std::string& given);

// Makes the folder and the journal where there is none yet. kJournal, kIo with what to do.
Result<std::unique_ptr<Journal>> open_run_journal(const std::string& place);
// For commands about runs that exist: kRunUnknown when nothing was ever journaled there.
Result<std::unique_ptr<Journal>> open_existing_journal(const std::string& place);

// This process, for people who ask who has a run: "pid 412 on host".
std::string process_owner();

}  // namespace sluice
