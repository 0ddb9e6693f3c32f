#include "journal/group_commit.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/failpoint.h"
#include "journal/commit_mistakes.h"
#include "journal/commit_queue.h"

namespace sluice {

struct GroupCommitJournal::Impl : CommitQueue {
  using CommitQueue::CommitQueue;
};

GroupCommitJournal::GroupCommitJournal(std::unique_ptr<JournalStore> store, Driver driver)
    : impl_(std::make_unique<Impl>(std::move(store), driver)) {
  if (driver == Driver::kThread) {
    impl_->thread = std::thread([impl = impl_.get()] { impl->run_thread(); });
  }
}

GroupCommitJournal::~GroupCommitJournal() {
  if (impl_->thread.joinable()) {
    {
      std::lock_guard lock(impl_->mutex);
      impl_->stop = true;
    }
    impl_->work.notify_one();
    impl_->thread.join();
  } else {
    impl_->commit_once();
  }
}

void GroupCommitJournal::on_work(std::function<void()> call) { impl_->on_work = std::move(call); }

bool GroupCommitJournal::commit_once() { return impl_->commit_once(); }

std::uint64_t GroupCommitJournal::commits() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->commits;
}

Result<RunLease> GroupCommitJournal::create_run(std::string_view run_id, const RunCard& card,
                                                JournalBatch first) {
  std::lock_guard write(impl_->store_mutex);
  auto lease = create_in_store(*impl_->store, run_id, card, first);
  if (!lease) return lease;
  std::lock_guard lock(impl_->mutex);
  impl_->adopt(*lease, first.records.size());
  return lease;
}

Result<RunLease> GroupCommitJournal::take_over(std::string_view run_id) {
  std::lock_guard write(impl_->store_mutex);
  auto taken = impl_->store->take_over(run_id);
  if (!taken) return std::unexpected(taken.error());
  std::lock_guard lock(impl_->mutex);
  impl_->adopt(taken->lease, taken->last_seq);
  return taken->lease;
}

Result<void> GroupCommitJournal::close_run(const RunLease& lease, const RunCard& card,
                                           JournaledRunState state) {
  auto request = std::make_shared<CloseRequest>(CloseRequest{card, state, std::nullopt});
  bool told = false;
  {
    std::lock_guard lock(impl_->mutex);
    auto run = impl_->find(lease);
    if (!run) return std::unexpected(run.error());
    OwnedRun& owned = **run;
    if (owned.lost) {
      Error error = *owned.broken;
      impl_->forget(owned);
      return std::unexpected(std::move(error));
    }
    // Its last records are not there, so it has not ended; giving it back is right.
    if (owned.broken && state == JournaledRunState::kEnded) return std::unexpected(*owned.broken);
    if (owned.close) return std::unexpected(lease_not_held(lease));
    owned.close = request;
    told = impl_->enqueue(owned);
  }
  if (told && impl_->driver == Driver::kThread) impl_->tell();
  impl_->commit_until([&] { return request->outcome.has_value(); });
  return *request->outcome;
}

Result<JournalSeq> GroupCommitJournal::append(const RunLease& lease, JournalBatch batch,
                                              OnDurable on_durable) {
  JournalSeq last = 0;
  bool told = false;
  {
    std::lock_guard lock(impl_->mutex);
    auto found = impl_->find(lease);
    if (!found) return std::unexpected(found.error());
    OwnedRun& run = **found;
    if (run.broken && !failpoint(Failpoint::kAppendAfterFailure)) {
      return std::unexpected(*run.broken);
    }
    if (run.close) return std::unexpected(lease_not_held(lease));
    run.next_seq += batch.records.size();
    last = run.next_seq - 1;
    if (run.records.empty() && run.contents.empty()) {
      run.records = std::move(batch.records);
      run.contents = std::move(batch.contents);
    } else {
      std::ranges::move(batch.records, std::back_inserter(run.records));
      std::ranges::move(batch.contents, std::back_inserter(run.contents));
    }
    run.waiting.push_back({last, std::move(on_durable)});
    told = impl_->enqueue(run);
  }
  if (impl_->driver == Driver::kInline) {
    impl_->commit_once();
  } else if (told) {
    impl_->tell();
  }
  return last;
}

Result<JournalSeq> GroupCommitJournal::recover(const RunLease& lease) {
  {
    std::lock_guard lock(impl_->mutex);
    auto run = impl_->find(lease);
    if (!run) return std::unexpected(run.error());
    if ((*run)->lost) return std::unexpected(*(*run)->broken);
    if (!(*run)->broken) return (*run)->durable_seq;
    if (failpoint(Failpoint::kRecoverGuesses)) {
      (*run)->broken.reset();
      (*run)->durable_seq = (*run)->next_seq - 1;
      return (*run)->durable_seq;
    }
  }
  Result<JournalSeq> last = 0;
  {
    std::lock_guard write(impl_->store_mutex);
    last = impl_->store->last_seq(lease);
  }
  std::lock_guard lock(impl_->mutex);
  auto run = impl_->find(lease);
  if (!run) return std::unexpected(run.error());
  if (!last) {
    if (last.error().code() == ErrorCode::kJournal) {
      (*run)->lost = true;
      (*run)->broken = last.error();
    }
    return last;
  }
  (*run)->broken.reset();
  (*run)->durable_seq = *last;
  (*run)->next_seq = *last + 1;
  return last;
}

void GroupCommitJournal::set_card(const RunLease& lease, const RunCard& card) {
  bool told = false;
  {
    std::lock_guard lock(impl_->mutex);
    auto run = impl_->find(lease);
    if (!run || (*run)->lost || (*run)->close) return;
    (*run)->card = card;
    told = impl_->mark_dirty(**run);
  }
  if (told) impl_->tell();
}

Result<void> GroupCommitJournal::compact(const RunLease& lease, JournalSeq upto,
                                         const JournalRecord& snapshot) {
  {
    std::lock_guard lock(impl_->mutex);
    auto run = impl_->find(lease);
    if (!run) return std::unexpected(run.error());
    if (upto == 0 || upto >= (*run)->next_seq) {
      return fail(ErrorCode::kInternal, "compaction of run " + lease.run_id +
                                            " behind its last record, at " + std::to_string(upto));
    }
  }
  std::optional<Error> broken;
  impl_->commit_until([&] {
    auto run = impl_->find(lease);
    if (!run) {
      broken = run.error();
    } else {
      broken = (*run)->broken;
    }
    return broken || (*run)->durable_seq >= upto;
  });
  if (broken) return std::unexpected(*broken);
  {
    std::lock_guard write(impl_->store_mutex);
    if (auto done = impl_->store->compact(lease, upto, snapshot); !done) return done;
  }
  {
    std::lock_guard lock(impl_->mutex);
    impl_->untidy = true;
  }
  if (impl_->driver == Driver::kThread) {
    impl_->work.notify_one();
  } else {
    impl_->tidy_once();
  }
  return {};
}

Result<void> GroupCommitJournal::read(std::string_view run_id, JournalSeq first,
                                      const Visit& visit) {
  return impl_->store->read(run_id, first, visit);
}

Result<JournaledRun> GroupCommitJournal::find_run(std::string_view run_id) {
  return impl_->store->find_run(run_id);
}

Result<std::vector<JournaledRun>> GroupCommitJournal::list_runs(const RunQuery& query) {
  return impl_->store->list_runs(query);
}

Result<void> GroupCommitJournal::delete_run(std::string_view run_id) {
  {
    std::lock_guard write(impl_->store_mutex);
    if (auto done = impl_->store->delete_run(run_id); !done) return done;
  }
  // In pieces, so that the commits of other runs go on in between.
  for (bool more = true; more;) {
    {
      std::lock_guard write(impl_->store_mutex);
      auto tidied = impl_->store->tidy_up();
      if (!tidied) return std::unexpected(tidied.error());
      more = *tidied;
    }
    std::unique_lock lock(impl_->mutex);
    if (!impl_->others_commit() || impl_->queue.empty()) continue;
    impl_->finished.wait(lock, [&, seen = impl_->commits] { return impl_->commits != seen; });
  }
  return {};
}

Result<std::uint64_t> GroupCommitJournal::send(std::string_view run_id, std::string_view kind,
                                               std::string_view body, WallNs now) {
  std::lock_guard write(impl_->store_mutex);
  return impl_->store->send(run_id, kind, body, now);
}

Result<std::vector<InboxMessage>> GroupCommitJournal::inbox(std::string_view run_id,
                                                            std::uint64_t after_id) {
  {
    std::lock_guard lock(impl_->mutex);
    auto run = impl_->runs.lower_bound(RunLease{std::string(run_id), 0});
    for (; run != impl_->runs.end() && run->first.run_id == run_id; ++run) {
      after_id = std::max(after_id, run->second->hidden_inbox);
    }
  }
  return impl_->store->inbox(run_id, after_id);
}

Result<void> GroupCommitJournal::acknowledge(const RunLease& lease, std::uint64_t id) {
  bool told = false;
  {
    std::lock_guard lock(impl_->mutex);
    auto run = impl_->find(lease);
    if (!run) return std::unexpected(run.error());
    if ((*run)->lost) return std::unexpected(*(*run)->broken);
    if (id <= (*run)->hidden_inbox) return {};
    (*run)->hidden_inbox = id;
    (*run)->acknowledged = id;
    told = impl_->mark_dirty(**run);
  }
  if (told) impl_->tell();
  return {};
}

Result<std::string> GroupCommitJournal::content(const Hash256& hash) {
  return impl_->store->content(hash);
}

Result<void> GroupCommitJournal::check(const std::function<void(const JournalDamage&)>& found) {
  return impl_->store->check(found);
}

}  // namespace sluice
