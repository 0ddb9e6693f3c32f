// SqliteStore: a journal store in one SQLite file, with its write-ahead log beside it. One writing
// connection, and as many reading ones as read at once. The parts of the class are split over
// sqlite_store.cpp (runs and commits), sqlite_read.cpp, sqlite_check.cpp and sqlite_tidy.cpp.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "journal/record_page.h"
#include "journal/run_locks.h"
#include "journal/sqlite_database.h"

namespace sluice {

class SqliteStore final : public JournalStore {
 public:
  SqliteStore(SqliteStoreOptions options, std::unique_ptr<SqliteDatabase> writer);

  Result<RunLease> create_run(std::string_view run_id, const RunCard& card,
                              const JournalBatch& first) override;
  Result<Taken> take_over(std::string_view run_id) override;
  Result<void> commit(std::span<RunCommit> commits) override;
  Result<JournalSeq> last_seq(const RunLease& lease) override;
  Result<void> compact(const RunLease& lease, JournalSeq upto,
                       const JournalRecord& snapshot) override;
  Result<std::uint64_t> send(std::string_view run_id, std::string_view kind, std::string_view body,
                             WallNs now) override;
  Result<void> delete_run(std::string_view run_id) override;
  Result<bool> tidy_up() override;

  Result<void> read(std::string_view run_id, JournalSeq first,
                    const Journal::Visit& visit) override;
  Result<JournaledRun> find_run(std::string_view run_id) override;
  Result<std::vector<JournaledRun>> list_runs(const RunQuery& query) override;
  Result<std::vector<InboxMessage>> inbox(std::string_view run_id, std::uint64_t after_id) override;
  Result<std::string> content(const Hash256& hash) override;
  Result<void> check(const std::function<void(const JournalDamage&)>& found) override;

 private:
  // A run whose lease this store gave out.
  struct Held {
    std::int64_t id = 0;
    JournalSeq last_seq = 0;
    std::uint64_t bytes = 0;
  };
  struct RunRow {
    std::int64_t id = 0;
    std::uint64_t epoch = 0;
    int state = 0;
    std::string owner;
    std::uint64_t last_inbox = 0;
    std::uint64_t bytes = 0;
    JournalSeq first_seq = 1;
  };
  // A reading connection, given back when it goes.
  class Reader {
   public:
    explicit Reader(SqliteStore& store) : store_(store), lock_(store.exclusive_lock()) {}
    ~Reader();
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;
    Result<SqliteDatabase*> open();

   private:
    SqliteStore& store_;
    std::unique_lock<std::recursive_mutex> lock_;
    std::unique_ptr<SqliteDatabase> own_;
  };
  using ExclusiveLock = std::unique_lock<std::recursive_mutex>;

  ExclusiveLock exclusive_lock();
  std::string lock_path() const { return options_.lock_files ? options_.path + ".lock" : ""; }
  Result<void> set_sync(bool on);
  // Writes the log's own bytes over it and syncs. When a sync fails, here or in an earlier process,
  // the system forgets that those pages were never written and shows them all the same: a later
  // commit would stand on what is not on the disk, and a checkpoint could break the file. Inside
  // BEGIN IMMEDIATE; until it is done nothing is checkpointed.
  Result<void> write_log_again();
  void trust_log(bool trusted);
  // The body inside BEGIN IMMEDIATE ... COMMIT.
  template <class Body>
  Result<void> transaction(const Body& body);
  Result<std::optional<RunRow>> run_row(SqliteDatabase& database, std::string_view run_id);
  // kRunUnknown when there is none.
  Result<RunRow> known_row(SqliteDatabase& database, std::string_view run_id);
  // kJournal when the lease no longer owns the run.
  Result<RunRow> owned_row(const RunLease& lease);
  Result<JournalSeq> highest_seq(std::int64_t run);
  Result<void> insert_run(std::string_view run_id, const RunCard& card, Held& held);
  Result<void> write_first(const RunCommit& commit, const std::vector<std::string>& contents,
                           Held& held);
  Result<void> claim_run(std::string_view run_id, Taken& taken, Held& held);
  Result<void> write_run(RunCommit& commit, const std::vector<std::string>& contents, Held& held);
  Result<void> write_records(const RunCommit& commit, Held& held);
  Result<void> write_contents(const RunCommit& commit, const std::vector<std::string>& contents,
                              Held& held);
  Result<void> write_card(const RunCommit& commit, const Held& held);
  Result<void> write_snapshot(std::int64_t run, std::string_view run_id, JournalSeq upto,
                              const JournalRecord& snapshot);
  Result<std::int64_t> known_run(std::string_view run_id);
  Result<RecordPage> read_page(std::string_view run_id, std::int64_t run, JournalSeq next);
  Result<JournaledRun> listed_run(const SqliteQuery& row, const LockView& locks);
  Result<void> check_run(SqliteDatabase& database, const JournaledRun& run, std::int64_t id,
                         const std::function<void(const JournalDamage&)>& found);
  Result<void> check_strays(SqliteDatabase& database,
                            const std::function<void(const JournalDamage&)>& found);
  Result<void> check_contents(SqliteDatabase& database,
                              const std::function<void(const JournalDamage&)>& found);
  Result<bool> trim_compacted();
  Result<bool> remove_gone();
  Result<bool> shrink_file();
  void checkpoint();

  const SqliteStoreOptions options_;
  const std::string owner_;         // "pid 412 on host"
  std::recursive_mutex exclusive_;  // used when options_.exclusive

  // Of who writes.
  std::unique_ptr<SqliteDatabase> writer_;
  RunLocks locks_;
  std::map<std::string, Held, std::less<>> held_;
  std::set<std::int64_t> compacted_;  // runs with records below their first
  int wal_frames_ = 0;
  bool log_trusted_ = false;  // see write_log_again
  bool sync_ = true;
  bool look_for_gone_ = true;  // another process may have died while it deleted
  bool shrink_ = false;

  std::mutex readers_mutex_;
  std::vector<std::unique_ptr<SqliteDatabase>> readers_;  // not in use
};

template <class Body>
Result<void> SqliteStore::transaction(const Body& body) {
  if (auto begun = writer_->run("BEGIN IMMEDIATE"); !begun) return begun;
  Result<void> done = log_trusted_ ? Result<void>() : write_log_again();
  if (done) done = body();
  if (done) {
    done = writer_->run("COMMIT");
    if (!done) trust_log(false);
  }
  if (!done) writer_->roll_back();
  return done;
}

}  // namespace sluice
