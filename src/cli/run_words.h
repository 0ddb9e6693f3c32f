// How a journaled run is called: its state in one word, its row in a list, and as JSON. Pure.
#pragma once

#include <string>

#include "cli/terminal.h"
#include "data/value.h"
#include "journal/journal.h"

namespace sluice::cli {

// "running", "waiting", "in_doubt", "interrupted" (open, and nobody has it), "succeeded", ...
std::string run_state_word(const JournaledRun& run);
Ink run_state_ink(const std::string& state);
// One line about an open run: who has it, or how to go on.
std::string run_note(const JournaledRun& run);
Value run_json(const JournaledRun& run);

}  // namespace sluice::cli
