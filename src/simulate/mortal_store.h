// MortalStore: one process's connection to a store that outlives it. Every write is a chance to
// die, before it is done or after; the dead write and read nothing. It can also fail on order, as a
// full or broken disk does. One thread.
#pragma once

#include <memory>

#include "base/random.h"
#include "journal/journal_store.h"
#include "simulate/life.h"

namespace sluice {

struct StoreFaults {
  bool full = false;  // kDiskFull
  double errors = 0;  // kIo, of one operation
};

// A store in memory and who owns its run: whoever takes it over need not ask whether the owner
// lives.
struct SharedStore {
  std::unique_ptr<JournalStore> store;
  RunLease owner;
  StoreFaults faults;
};

class MortalStore final : public JournalStore {
 public:
  MortalStore(SharedStore& shared, Life& life, std::uint64_t seed)
      : shared_(shared), store_(*shared.store), life_(life), random_(seed) {}

  Result<RunLease> create_run(std::string_view run_id, const RunCard& card,
                              const JournalBatch& first) override;
  Result<Taken> take_over(std::string_view run_id) override;
  Result<void> commit(std::span<RunCommit> commits) override;
  Result<JournalSeq> last_seq(const RunLease& lease) override;
  Result<void> compact(const RunLease& lease, JournalSeq upto,
                       const JournalRecord& snapshot) override;
  Result<void> read(std::string_view run_id, JournalSeq first,
                    const Journal::Visit& visit) override;
  Result<JournaledRun> find_run(std::string_view run_id) override;
  Result<std::vector<JournaledRun>> list_runs(const RunQuery& query) override;
  Result<void> delete_run(std::string_view run_id) override;
  Result<bool> tidy_up() override;
  Result<std::uint64_t> send(std::string_view run_id, std::string_view kind, std::string_view body,
                             WallNs now) override;
  Result<std::vector<InboxMessage>> inbox(std::string_view run_id, std::uint64_t after_id) override;
  Result<std::string> content(const Hash256& hash) override;
  Result<void> check(const std::function<void(const JournalDamage&)>& found) override;

 private:
  // Does `work` between two chances to die.
  template <class Work>
  auto write(const Work& work) -> decltype(work());
  template <class Work>
  auto read_only(const Work& work) -> decltype(work());
  Result<void> fault();

  SharedStore& shared_;
  JournalStore& store_;
  Life& life_;
  Random random_;
};

}  // namespace sluice
