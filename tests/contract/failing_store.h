// A store that fails on demand, around a real one: what the disk, the network and a new owner do.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "journal/journal_store.h"

namespace sluice::testing_contract {

// Shared with the test, which turns its knobs while the store is in use.
struct StoreTrouble {
  std::mutex mutex;
  std::optional<Error> commits_fail;  // nothing is written
  std::optional<Error> after_commit;  // written, and still an error: the answer was lost
  std::set<std::string> fenced;       // run ids
  std::atomic<int> commits = 0;
  std::mutex gate;  // held by a test: commits wait
};

class FailingStore : public JournalStore {
 public:
  FailingStore(std::unique_ptr<JournalStore> inner, std::shared_ptr<StoreTrouble> trouble)
      : inner_(std::move(inner)), trouble_(std::move(trouble)) {}

  Result<void> commit(std::span<RunCommit> commits) override {
    std::lock_guard wait(trouble_->gate);
    std::unique_lock lock(trouble_->mutex);
    ++trouble_->commits;
    if (trouble_->commits_fail) return std::unexpected(*trouble_->commits_fail);
    auto after = trouble_->after_commit;
    auto fenced = trouble_->fenced;
    lock.unlock();
    if (auto done = commit_others(commits, fenced); !done) return done;
    if (after) return std::unexpected(*after);
    return {};
  }
  Result<RunLease> create_run(std::string_view run_id, const RunCard& card) override {
    return inner_->create_run(run_id, card);
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

 private:
  Result<void> commit_others(std::span<RunCommit> commits, const std::set<std::string>& fenced) {
    for (auto& commit : commits) {
      if (fenced.contains(commit.lease.run_id)) {
        commit.outcome = fail(ErrorCode::kJournal, "run " + commit.lease.run_id + " was taken");
      } else if (auto done = inner_->commit({&commit, 1}); !done) {
        return done;
      }
    }
    return {};
  }

  std::unique_ptr<JournalStore> inner_;
  std::shared_ptr<StoreTrouble> trouble_;
};

}  // namespace sluice::testing_contract
