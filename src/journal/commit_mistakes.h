// How a commit goes to the store: as it is, or, with a failpoint on, with the mistake that tests
// must find.
#pragma once

#include <vector>

#include "journal/journal_store.h"

namespace sluice {

Result<void> commit_to_store(JournalStore& store, std::vector<RunCommit>& commits);

}  // namespace sluice
