// GroupCommitJournal: the Journal over any JournalStore. Appends are numbered and queued; a commit
// takes whatever waits, of all runs, as one transaction, and tells everyone after it, in the order
// of the appends. By a thread of its own, or, for the simulator, one `commit_once` at a time.
//
// A commit that fails takes with it every append that waits of the runs in it; their leases take
// nothing more until `recover`. A card or an acknowledgement waits for the next try instead.
#pragma once

#include <functional>
#include <memory>

#include "journal/journal_store.h"

namespace sluice {

class GroupCommitJournal final : public Journal {
 public:
  enum class Driver : std::uint8_t {
    kThread,  // commits go on by themselves; callbacks come on that thread
    kInline,  // every append commits before it returns; for stores that wait for nothing
    kManual,  // only commit_once commits; close_run, send and the like commit inside
  };
  explicit GroupCommitJournal(std::unique_ptr<JournalStore> store, Driver driver = Driver::kThread);
  ~GroupCommitJournal() override;  // commits what waits, then stops

  // kManual: called (inside append and the like) when there is something to commit after nothing
  // was. Set before the first append.
  void on_work(std::function<void()> call);
  // kManual: commits what waits; true when there was anything.
  bool commit_once();
  // Number of commits so far (each at most one sync of the disk), for benchmarks.
  std::uint64_t commits() const;

  Result<RunLease> create_run(std::string_view run_id, const RunCard& card,
                              JournalBatch first) override;
  Result<RunLease> take_over(std::string_view run_id) override;
  Result<void> close_run(const RunLease& lease, const RunCard& card,
                         JournaledRunState state) override;
  Result<JournalSeq> append(const RunLease& lease, JournalBatch batch,
                            OnDurable on_durable) override;
  Result<JournalSeq> recover(const RunLease& lease) override;
  void set_card(const RunLease& lease, const RunCard& card) override;
  Result<void> compact(const RunLease& lease, JournalSeq upto,
                       const JournalRecord& snapshot) override;
  Result<void> read(std::string_view run_id, JournalSeq first, const Visit& visit) override;
  Result<JournaledRun> find_run(std::string_view run_id) override;
  Result<std::vector<JournaledRun>> list_runs(const RunQuery& query) override;
  Result<void> delete_run(std::string_view run_id) override;
  Result<std::uint64_t> send(std::string_view run_id, std::string_view kind, std::string_view body,
                             WallNs now) override;
  Result<std::vector<InboxMessage>> inbox(std::string_view run_id, std::uint64_t after_id) override;
  Result<void> acknowledge(const RunLease& lease, std::uint64_t id) override;
  Result<std::string> content(const Hash256& hash) override;
  Result<void> check(const std::function<void(const JournalDamage&)>& found) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// A file's path (SQLite), postgresql://..., or "memory:". kUsage, and what the store says.
Result<std::unique_ptr<Journal>> open_journal(const std::string& where);

}  // namespace sluice
