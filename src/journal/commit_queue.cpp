#include "journal/commit_queue.h"

#include <algorithm>
#include <chrono>

#include "base/failpoint.h"
#include "base/log.h"
#include "journal/commit_mistakes.h"

namespace sluice {
namespace {

// A card waits for a commit of its run; when none comes it is written alone after this long.
constexpr std::int64_t kCardAfterNs = kNsPerSecond;
// A card with the same status as the last written one rides on a commit at most this often: it
// costs a page of the store.
constexpr std::int64_t kCardEveryNs = kNsPerSecond / 5;

}  // namespace

Error lease_not_held(const RunLease& lease) {
  return Error(ErrorCode::kJournal, "run " + lease.run_id +
                                        " is not owned here: it was closed, or another process "
                                        "took it over");
}

SteadyNs CommitQueue::now() const {
  return driver == Driver::kThread ? system_clock().steady_ns() : 0;
}

bool CommitQueue::enqueue(OwnedRun& run) {
  const bool first = queue.empty();
  if (!std::exchange(run.queued, true)) queue.push_back(&run);
  return driver == Driver::kThread ? sleeping : first;
}
void CommitQueue::tell() {
  if (driver == Driver::kThread) {
    work.notify_one();
  } else if (driver == Driver::kManual) {
    if (on_work) on_work();
  }
}
bool CommitQueue::mark_dirty(OwnedRun& run) {
  if (std::exchange(run.dirty, true)) return false;
  if (dirty.empty()) dirty_since_ns = now();
  dirty.push_back(&run);
  return driver == Driver::kThread && sleeping;
}

void CommitQueue::adopt(RunLease lease, JournalSeq last_seq) {
  // A run of that name that was lost, never closed, and deleted by its next owner.
  if (auto old = runs.find(lease); old != runs.end()) forget(*old->second);
  auto run = std::make_shared<OwnedRun>();
  run->lease = lease;
  run->next_seq = last_seq + 1;
  run->durable_seq = last_seq;
  runs.emplace(std::move(lease), std::move(run));
}

Result<OwnedRun*> CommitQueue::find(const RunLease& lease) {
  auto found = runs.find(lease);
  if (found == runs.end()) return std::unexpected(lease_not_held(lease));
  return found->second.get();
}

void CommitQueue::queue_dirty() {
  for (OwnedRun* run : dirty) {
    run->dirty = false;
    if (!run->card && run->acknowledged == 0) continue;  // a commit carried it
    if (!std::exchange(run->queued, true)) queue.push_back(run);
  }
  dirty.clear();
}

bool CommitQueue::card_rides(const OwnedRun& run, bool flush) const {
  return flush || driver != Driver::kThread || run.card->status != run.written_status ||
         now() - run.card_written_ns >= kCardEveryNs;
}

std::vector<CommitQueue::Flight> CommitQueue::take(std::vector<RunCommit>& commits_out) {
  bool flush = false;
  if (!dirty.empty() && (queue.empty() || now() - dirty_since_ns >= kCardAfterNs)) {
    queue_dirty();
    flush = true;
  }
  std::vector<Flight> flights;
  flights.reserve(queue.size());
  commits_out.reserve(queue.size());
  for (OwnedRun* run : queue) {
    run->queued = false;
    RunCommit commit;
    commit.lease = run->lease;
    commit.first_seq = run->records.empty() ? 0 : run->next_seq - run->records.size();
    commit.records = std::exchange(run->records, {});
    commit.contents = std::exchange(run->contents, {});
    commit.acknowledged = std::exchange(run->acknowledged, 0);
    if (run->card && card_rides(*run, flush)) commit.card = std::exchange(run->card, {});
    if (run->close) {
      commit.card = run->close->card;
      commit.close = run->close->state;
      run->card.reset();
    }
    commits_out.push_back(std::move(commit));
    flights.push_back(
        {run->shared_from_this(), std::exchange(run->waiting, {}), std::exchange(run->close, {})});
  }
  queue.clear();
  return flights;
}

void CommitQueue::forget(OwnedRun& run) {
  if (std::exchange(run.forgotten, true)) return;
  std::erase(queue, &run);
  std::erase(dirty, &run);
  runs.erase(RunLease(run.lease));  // a copy: the run may go with it
}

void CommitQueue::answer(std::vector<WaitingAppend>& waiting, const Error* error) {
  for (auto& one : waiting) {
    if (!one.call) continue;
    if (error) {
      ready.emplace_back(std::move(one.call), std::unexpected(*error));
    } else {
      ready.emplace_back(std::move(one.call), one.last_seq);
    }
  }
  waiting.clear();
}

void CommitQueue::succeed(Flight& flight, const RunCommit& commit) {
  OwnedRun& run = *flight.run;
  if (!flight.waiting.empty()) run.durable_seq = flight.waiting.back().last_seq;
  if (commit.card) {
    run.written_status = commit.card->status;
    run.card_written_ns = now();
  }
  answer(flight.waiting, nullptr);
  if (flight.close) {
    flight.close->outcome = Result<void>();
    forget(run);
  }
}

void CommitQueue::give_up(Flight& flight, RunCommit& commit, const Error& error, bool lost) {
  OwnedRun& run = *flight.run;
  const bool had_records = !flight.waiting.empty();
  answer(flight.waiting, &error);
  if (lost || had_records) {
    // What came meanwhile is numbered behind what failed.
    answer(run.waiting, &error);
    run.records.clear();
    run.contents.clear();
    run.broken = error;
    run.lost = lost;
  }
  if (!lost && !run.forgotten) {
    if (commit.card && !run.card) run.card = std::move(commit.card);
    run.acknowledged = std::max(run.acknowledged, commit.acknowledged);
    // The thread tries again after a while; elsewhere it rides on the next append.
    if (driver == Driver::kThread && (run.card || run.acknowledged != 0)) mark_dirty(run);
  }
  if (flight.close) flight.close->outcome = std::unexpected(error);
  if (lost && run.close) {
    run.close->outcome = std::unexpected(error);
    run.close.reset();
  }
  if (flight.close && lost) forget(run);
}

bool CommitQueue::commit_once() {
  std::unique_lock one(commit_mutex);
  std::vector<RunCommit> taken;
  std::vector<Flight> flights;
  const bool early = failpoint(Failpoint::kAckBeforeCommit);
  {
    std::lock_guard lock(mutex);
    flights = take(taken);
    if (early) {
      for (auto& flight : flights) {
        if (!flight.waiting.empty()) flight.run->durable_seq = flight.waiting.back().last_seq;
        answer(flight.waiting, nullptr);
      }
    }
  }
  if (flights.empty()) return false;
  if (early) make_calls();
  Result<void> whole;
  {
    std::lock_guard write(store_mutex);
    whole = commit_to_store(*store, taken);
  }
  {
    std::lock_guard lock(mutex);
    ++commits;
    untidy = true;
    for (std::size_t i = 0; i < flights.size(); ++i) {
      if (!whole) {
        give_up(flights[i], taken[i], whole.error(), false);
      } else if (!taken[i].outcome) {
        const Error error = taken[i].outcome.error();
        give_up(flights[i], taken[i], error, error.code() == ErrorCode::kJournal);
      } else {
        succeed(flights[i], taken[i]);
      }
    }
  }
  finished.notify_all();
  one.unlock();
  make_calls();
  if (driver != Driver::kThread) tidy_once();
  return true;
}

void CommitQueue::make_calls() {
  std::unique_lock lock(mutex);
  if (std::exchange(calling, true)) return;
  while (!ready.empty()) {
    auto next = std::move(ready.front());
    ready.pop_front();
    lock.unlock();
    next.first(std::move(next.second));
    next.first = nullptr;  // what it holds goes without our lock
    lock.lock();
  }
  calling = false;
}

void CommitQueue::tidy_once() {
  {
    std::lock_guard lock(mutex);
    if (!std::exchange(untidy, false)) return;
  }
  Result<bool> more = false;
  {
    std::lock_guard write(store_mutex);
    more = store->tidy_up();
  }
  if (!more) {
    log(LogLevel::kDebug, "journal: " + more.error().to_string());
  } else if (*more) {
    std::lock_guard lock(mutex);
    untidy = true;
  }
}

void CommitQueue::run_thread() {
  std::unique_lock lock(mutex);
  for (;;) {
    const bool due = !dirty.empty() && (stop || now() - dirty_since_ns >= kCardAfterNs);
    if (!queue.empty() || due) {
      lock.unlock();
      commit_once();
      lock.lock();
      if (stop && queue.empty()) return;  // a card that cannot be written stops nobody
      continue;
    }
    if (stop) return;
    if (untidy) {
      lock.unlock();
      tidy_once();
      lock.lock();
      continue;
    }
    sleeping = true;
    if (dirty.empty()) {
      work.wait(lock);
    } else {
      const auto left = dirty_since_ns + kCardAfterNs - now();
      work.wait_for(lock, std::chrono::nanoseconds(std::max<std::int64_t>(left, 0)));
    }
    sleeping = false;
  }
}

bool CommitQueue::others_commit() const {
  return driver == Driver::kThread && std::this_thread::get_id() != thread.get_id();
}

}  // namespace sluice
