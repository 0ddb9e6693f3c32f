// How a commit, or a new run, goes to the store: as it is, or, with a failpoint on, with the
// mistake that tests must find.
#pragma once

#include <vector>

#include "journal/journal_store.h"

namespace sluice {

Result<void> commit_to_store(JournalStore& store, std::vector<RunCommit>& commits);
Result<RunLease> create_in_store(JournalStore& store, std::string_view run_id, const RunCard& card,
                                 const JournalBatch& first);

}  // namespace sluice
