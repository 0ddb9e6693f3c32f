// Where a batch writes, and what lies there already: the file that a link leads to, and results
// that an earlier run has left beside it. Blocking; one thread.
#pragma once

#include <filesystem>
#include <string>

#include "base/error.h"
#include "cli/journal_options.h"
#include "journal/journal.h"

namespace sluice::cli {

// Absolute. Of a link the file that it leads to, whether that is there or not: the link stays.
// kIo when links lead round in a circle; kUsage when the name leaves no room for those of the files
// beside it.
Result<std::filesystem::path> output_place(const std::string& given);

// Results that an earlier run has kept beside `output`. They are in nobody's way when that run has
// ended or when they are to go (`force`); else kUsage, with how to go on with that run. kRunBusy
// while a process is at work on them, kTableInvalid when something else lies in their place.
struct EarlierResults {
  const std::filesystem::path& output;
  bool force = false;
  Journal* journal = nullptr;  // null: --no-journal
  const JournalOptions& options;
};
Result<void> check_earlier_results(const EarlierResults& asked);
// The same, and then they are gone: to be called when the next run begins.
Result<void> clear_earlier_results(const EarlierResults& asked);

}  // namespace sluice::cli
