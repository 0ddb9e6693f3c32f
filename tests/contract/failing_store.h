// A store that fails on demand, around a real one: what the disk, the network and a new owner do.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "tests/contract/store_over.h"

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

class FailingStore : public StoreOver {
 public:
  FailingStore(std::unique_ptr<JournalStore> inner, std::shared_ptr<StoreTrouble> trouble)
      : StoreOver(std::move(inner)), trouble_(std::move(trouble)) {}

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

  std::shared_ptr<StoreTrouble> trouble_;
};

}  // namespace sluice::testing_contract
