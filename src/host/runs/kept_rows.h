// Rows of a batch that are done are in two places: in the work file beside its output, and in the
// run's journal, which knows what led to each. Before a batch goes on the work file must have them
// all, since nothing else of the run looks at it before it keeps the next one. Where rows are
// missing (the file was deleted, or an older copy of it was put back) they are made again of the
// journal: replaying it binds the same arguments of `put`. What cannot be had any more is said
// before a call is made. Blocks while it reads; the run's thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "base/error.h"
#include "journal/journal.h"
#include "plan/logical.h"
#include "runtime/summary.h"
#include "tools/table/table_format.h"

namespace sluice {

struct KeptRows {
  Journal& journal;
  const std::string& run_id;
  const Plan& plan;                       // of the run, as written
  const std::filesystem::path& work_dir;  // where its relative paths start
  const RunSummary& done;                 // all that the journal tells
  bool accept_changes = false;            // an output that has come to be there is replaced
};

// What was missing and is there again, as a sentence for people; "" when nothing was, and for runs
// that are no batch. kRunChanged when rows cannot be had any more, when the file holds another
// run's or when the output is there although the rows for it are not; kRunBusy, kTableInvalid, kIo.
Result<std::string> complete_kept_rows(const KeptRows& kept);

// Where a batch, or a fork of one, writes; nullopt: the plan is that of neither.
std::optional<TableTarget> batch_output(const Plan& plan, const std::filesystem::path& work_dir);

}  // namespace sluice
