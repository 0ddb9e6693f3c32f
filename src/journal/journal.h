// Journal: the durable event log of runs, with what else must survive: large values, the inbox of
// each run, and one card per run for lists. Records are opaque here. Contract (tests/contract):
// - records of one run keep their order and get consecutive sequence numbers from 1;
// - `append` returns at once; `on_durable` is called once, when all up to that number will survive
//   the process and the machine, or never will;
// - whatever waits when a commit begins is one transaction (group commit), over all runs;
// - contents of a batch survive before, or together with, the records that name them;
// - a reader sees only what is durable; any number of readers beside the owner; a visitor may call
//   the journal;
// - one owner per run: a lease with a fencing epoch; the lease of a dead owner is taken over;
// - every record carries a checksum; a damaged one is kJournalDamaged, never wrong bytes;
// - after an I/O error nothing that was acknowledged is lost, and a later append may succeed.
// Any thread; `on_durable` comes on a thread of the journal or inside append, and must not block.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "data/hash.h"

namespace sluice {

using JournalSeq = std::uint64_t;

struct JournalRecord {
  std::uint16_t type = 0;     // the runtime's record type
  std::uint16_t version = 1;  // of that type's body
  std::string body;
};

// Bytes that a record names by their SHA-256. Putting the same content twice is one content.
struct JournalContent {
  Hash256 hash;
  std::string bytes;
};

// What is appended together: all of it survives, or none.
struct JournalBatch {
  std::vector<JournalRecord> records;
  std::vector<JournalContent> contents;
};

enum class JournaledRunState : std::uint8_t {
  kOpen,   // may go on
  kEnded,  // takes no more records
};

// What lists show of a run, as its owner last said. Written with the owner's next commit.
struct RunCard {
  std::string plan;  // its name, for people
  std::string
      status;        // "running", "waiting", "interrupted", "in_doubt", "succeeded", "failed", ...
  std::string note;  // one line: the first error, or what it waits for
  std::string forked_from;  // run id or ""
  WallNs started_ns = 0;
  WallNs updated_ns = 0;
  std::uint64_t tasks_done = 0, tasks_failed = 0;
  std::uint64_t doubts = 0, waits = 0;  // tasks in doubt; tasks that wait for a person or a time
  std::uint64_t tokens = 0;
  double usd = 0;
};

struct JournaledRun {
  std::string run_id;
  JournaledRunState state = JournaledRunState::kOpen;
  RunCard card;
  JournalSeq first_seq = 1;  // higher once compacted: the snapshot's
  JournalSeq last_seq = 0;
  std::uint64_t bytes = 0;  // of its records and contents, about
  std::string owner;        // "pid 412 on host" of a live owner, else ""
};

struct RunQuery {
  std::optional<JournaledRunState> state;
  std::string status;            // "" for any
  std::string plan;              // "" for any
  WallNs started_after_ns = 0;   // 0: no bound
  std::size_t limit = SIZE_MAX;  // the newest first
};

// The right to append to one run: a fencing epoch. A later owner makes earlier leases fail.
struct RunLease {
  std::string run_id;
  std::uint64_t epoch = 0;
};

// What other processes told a run: "signal", "resolve", "cancel". Ids grow within a run.
struct InboxMessage {
  std::uint64_t id = 0;
  std::string kind;
  std::string body;  // JSON text, by kind (runtime/inbox.h)
  WallNs sent_ns = 0;
};

// What `check` found wrong; `run_id` "" is about the store itself.
struct JournalDamage {
  std::string run_id;
  JournalSeq seq = 0;  // 0: of the whole run
  std::string what;    // one sentence
};

class Journal {
 public:
  using OnDurable = std::function<void(Result<JournalSeq>)>;
  using Visit = std::function<bool(JournalSeq, const JournalRecord&)>;

  virtual ~Journal() = default;

  // A new run with its first records, in one commit, durable on return: nobody finds a run without
  // them. kJournal when the id is taken, kDiskFull, kIo.
  virtual Result<RunLease> create_run(std::string_view run_id, const RunCard& card,
                                      JournalBatch first) = 0;
  // An open run whose owner is dead or gave it back. kRunUnknown, kRunEnded, kRunBusy.
  virtual Result<RunLease> take_over(std::string_view run_id) = 0;
  // Gives an open run back, or ends it for good; durable on return. kJournal (fenced).
  virtual Result<void> close_run(const RunLease& lease, const RunCard& card,
                                 JournaledRunState state) = 0;

  // Returns the number of the last record. kJournal (fenced, ended), kDiskFull, kIo. An error that
  // comes later reaches on_durable (may be null); every append behind it of the same lease fails
  // too until `recover`. When the process dies before that, records that failed may be there or
  // not.
  virtual Result<JournalSeq> append(const RunLease& lease, JournalBatch batch,
                                    OnDurable on_durable) = 0;
  // After a failed append: the number of the last durable record; appends go on behind it. Without
  // a failure it changes nothing. kJournal (fenced), kIo.
  virtual Result<JournalSeq> recover(const RunLease& lease) = 0;
  // Kept with the owner's next commit, within about a second, at the latest by close_run. Cheap.
  virtual void set_card(const RunLease& lease, const RunCard& card) = 0;
  // Replaces all records up to and with `upto` (all of them appended) by one: readers start there.
  virtual Result<void> compact(const RunLease& lease, JournalSeq upto,
                               const JournalRecord& snapshot) = 0;

  // From `first` on (or the snapshot, when that is later), in order; the visitor returns false to
  // stop. kRunUnknown, kJournalDamaged (after every record before the damage), kIo.
  virtual Result<void> read(std::string_view run_id, JournalSeq first, const Visit& visit) = 0;
  virtual Result<JournaledRun> find_run(std::string_view run_id) = 0;  // kRunUnknown
  virtual Result<std::vector<JournaledRun>> list_runs(const RunQuery& query) = 0;
  // All of an ended or abandoned run; contents that no other run names go too. kRunBusy.
  virtual Result<void> delete_run(std::string_view run_id) = 0;

  // The inbox. `send` is durable on return; kRunUnknown, kRunEnded.
  virtual Result<std::uint64_t> send(std::string_view run_id, std::string_view kind,
                                     std::string_view body, WallNs now) = 0;
  virtual Result<std::vector<InboxMessage>> inbox(std::string_view run_id,
                                                  std::uint64_t after_id) = 0;
  // The owner has journaled what came of all messages up to `id`: the inbox forgets them. Rides on
  // a later commit, as a card does.
  virtual Result<void> acknowledge(const RunLease& lease, std::uint64_t id) = 0;

  virtual Result<std::string> content(const Hash256& hash) = 0;  // kJournalDamaged, kJournal
  // Reads everything; what is wrong goes to `found`. Fails only when it cannot read at all.
  virtual Result<void> check(const std::function<void(const JournalDamage&)>& found) = 0;
};

// Nothing survives the process; for --no-journal and for tests.
std::unique_ptr<Journal> make_memory_journal();

}  // namespace sluice
