// A store that hands everything on to another one: what tests change is in what they override.
#pragma once

#include <memory>
#include <utility>

#include "journal/journal_store.h"

namespace sluice::testing_contract {

class StoreOver : public JournalStore {
 public:
  explicit StoreOver(std::unique_ptr<JournalStore> inner) : inner_(std::move(inner)) {}

  Result<void> commit(std::span<RunCommit> commits) override { return inner_->commit(commits); }
  Result<RunLease> create_run(std::string_view run_id, const RunCard& card,
                              const JournalBatch& first) override {
    return inner_->create_run(run_id, card, first);
  }
  Result<Taken> take_over(std::string_view run_id) override { return inner_->take_over(run_id); }
  Result<JournalSeq> last_seq(const RunLease& lease) override { return inner_->last_seq(lease); }
  Result<void> compact(const RunLease& lease, JournalSeq upto,
                       const JournalRecord& snapshot) override {
    return inner_->compact(lease, upto, snapshot);
  }
  Result<void> read(std::string_view run_id, JournalSeq first,
                    const Journal::Visit& visit) override {
    return inner_->read(run_id, first, visit);
  }
  Result<JournaledRun> find_run(std::string_view run_id) override {
    return inner_->find_run(run_id);
  }
  Result<std::vector<JournaledRun>> list_runs(const RunQuery& query) override {
    return inner_->list_runs(query);
  }
  Result<void> delete_run(std::string_view run_id) override { return inner_->delete_run(run_id); }
  Result<bool> tidy_up() override { return inner_->tidy_up(); }
  Result<std::uint64_t> send(std::string_view run_id, std::string_view kind, std::string_view body,
                             WallNs now) override {
    return inner_->send(run_id, kind, body, now);
  }
  Result<std::vector<InboxMessage>> inbox(std::string_view run_id,
                                          std::uint64_t after_id) override {
    return inner_->inbox(run_id, after_id);
  }
  Result<std::string> content(const Hash256& hash) override { return inner_->content(hash); }
  Result<void> check(const std::function<void(const JournalDamage&)>& found) override {
    return inner_->check(found);
  }

 protected:
  std::unique_ptr<JournalStore> inner_;
};

}  // namespace sluice::testing_contract
