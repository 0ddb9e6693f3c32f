// JournalStore: what a database must offer to be a Journal. Blocking and plain: group commit, order
// and callbacks are GroupCommitJournal's, one for all stores. Adding a store is one file with this
// interface and one row in open_journal.cpp.
//
// Threads: what writes comes one at a time (GroupCommitJournal sees to it), from any thread. What
// reads (read, find_run, list_runs, inbox, content, check) comes at any time, also beside a write
// and beside each other, and a visitor may call back into the store.
#pragma once

#include <memory>
#include <span>

#include "journal/journal.h"

namespace sluice {

// One run's part of a commit.
struct RunCommit {
  RunLease lease;
  JournalSeq first_seq = 0;  // of `records`; 0 when there are none
  std::vector<JournalRecord> records;
  std::vector<JournalContent> contents;
  std::optional<RunCard> card;
  std::optional<JournaledRunState> close;  // gives the lease back
  std::uint64_t acknowledged = 0;          // inbox messages up to here may go; 0: none
  Result<void> outcome;  // out: kJournal when fenced, kIo when only this run must try again
};

class JournalStore {
 public:
  virtual ~JournalStore() = default;

  // One transaction, durable on return.
  virtual Result<RunLease> create_run(std::string_view run_id, const RunCard& card,
                                      const JournalBatch& first) = 0;
  // The lease and the number of the last record.
  struct Taken {
    RunLease lease;
    JournalSeq last_seq = 0;
  };
  virtual Result<Taken> take_over(std::string_view run_id) = 0;
  // One transaction, durable on return. Fails as a whole (kDiskFull, kIo) or not at all; a run
  // that cannot take part says so in its own outcome, and the others are unharmed.
  virtual Result<void> commit(std::span<RunCommit> commits) = 0;
  // What is durable of a run that the lease owns, after a commit failed; the store makes sure that
  // it still owns it. kJournal (fenced).
  virtual Result<JournalSeq> last_seq(const RunLease& lease) = 0;
  // One transaction. Readers start at the snapshot from then on; what it replaces is removed by
  // `tidy_up`.
  virtual Result<void> compact(const RunLease& lease, JournalSeq upto,
                               const JournalRecord& snapshot) = 0;

  virtual Result<void> read(std::string_view run_id, JournalSeq first,
                            const Journal::Visit& visit) = 0;
  virtual Result<JournaledRun> find_run(std::string_view run_id) = 0;
  virtual Result<std::vector<JournaledRun>> list_runs(const RunQuery& query) = 0;
  // Nobody finds the run from then on; its records and contents are removed by `tidy_up`.
  virtual Result<void> delete_run(std::string_view run_id) = 0;
  // A piece of the work for idle moments (a few ms): checkpoints, and what compact and delete_run
  // left behind. True while there is more. A write.
  virtual Result<bool> tidy_up() = 0;
  virtual Result<std::uint64_t> send(std::string_view run_id, std::string_view kind,
                                     std::string_view body, WallNs now) = 0;
  virtual Result<std::vector<InboxMessage>> inbox(std::string_view run_id,
                                                  std::uint64_t after_id) = 0;
  virtual Result<std::string> content(const Hash256& hash) = 0;
  virtual Result<void> check(const std::function<void(const JournalDamage&)>& found) = 0;
};

struct SqliteStoreOptions {
  std::string path;
  std::string vfs;               // "" for the system's; the simulator brings its own
  bool lock_files = true;        // owners lock a file beside the store; else by epoch only
  std::uint32_t busy_ms = 5000;  // how long to wait for another process's transaction
  // One connection and no shared memory, for a `vfs` without any; no other process may open it.
  bool exclusive = false;
};
// WAL, synchronous FULL. kJournal (a store from a newer program, not a store at all), kIo.
Result<std::unique_ptr<JournalStore>> open_sqlite_store(const SqliteStoreOptions& options);
// `url`: postgresql://... A schema `sluice` is made on first use.
Result<std::unique_ptr<JournalStore>> open_postgres_store(const std::string& url);
std::unique_ptr<JournalStore> make_memory_store();

}  // namespace sluice
