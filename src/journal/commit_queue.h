// The inside of GroupCommitJournal: the runs it owns, what waits of them, and the commits that take
// it. Its mutexes say who may touch what; see each part.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "journal/group_commit.h"

namespace sluice {

struct CloseRequest {
  RunCard card;
  JournaledRunState state;
  std::optional<Result<void>> outcome;
};

// An append whose answer is not known yet.
struct WaitingAppend {
  JournalSeq last_seq;
  Journal::OnDurable call;
};

// A run whose lease this journal gave out. Under CommitQueue::mutex. A commit that is under way
// keeps it alive, also after it was forgotten.
struct OwnedRun : std::enable_shared_from_this<OwnedRun> {
  RunLease lease;
  JournalSeq next_seq = 1;
  JournalSeq durable_seq = 0;
  bool queued = false;  // in CommitQueue::queue
  bool dirty = false;   // in CommitQueue::dirty

  // What the next commit takes.
  std::vector<JournalRecord> records;
  std::vector<JournalContent> contents;
  std::vector<WaitingAppend> waiting;
  std::optional<RunCard> card;
  std::uint64_t acknowledged = 0;
  std::shared_ptr<CloseRequest> close;

  std::uint64_t hidden_inbox = 0;  // acknowledged so far, durable or not
  std::string written_status;
  SteadyNs card_written_ns = 0;
  std::optional<Error> broken;  // appends fail with it until recover
  bool lost = false;            // fenced: recover fails too
  bool forgotten = false;       // not in CommitQueue::runs any more
};

struct ByLease {
  bool operator()(const RunLease& a, const RunLease& b) const {
    return std::tie(a.run_id, a.epoch) < std::tie(b.run_id, b.epoch);
  }
};

// kJournal: the lease was given back, or taken.
Error lease_not_held(const RunLease& lease);

class CommitQueue {
 public:
  using Driver = GroupCommitJournal::Driver;

  std::unique_ptr<JournalStore> store;
  const Driver driver;
  std::function<void()> on_work;

  // Order of the locks: commit_mutex, store_mutex, mutex.
  std::mutex commit_mutex;  // one commit at a time, from taking the queue to its results
  std::mutex store_mutex;   // one write of the store at a time

  std::mutex mutex;                  // all below
  std::condition_variable work;      // for the thread
  std::condition_variable finished;  // for who waits for a commit
  std::map<RunLease, std::shared_ptr<OwnedRun>, ByLease> runs;
  std::vector<OwnedRun*> queue;  // of those in `runs`, as `dirty`
  std::vector<OwnedRun*> dirty;  // with a card or an acknowledgement that nothing carries yet
  SteadyNs dirty_since_ns = 0;
  std::deque<std::pair<Journal::OnDurable, Result<JournalSeq>>> ready;  // callbacks, in order
  bool calling = false;                                                 // somebody makes them
  bool sleeping = false;                                                // the thread
  bool stop = false;
  bool untidy = false;  // the store may have work for idle moments
  std::uint64_t commits = 0;
  std::thread thread;

  CommitQueue(std::unique_ptr<JournalStore> given, Driver kind)
      : store(std::move(given)), driver(kind) {}

  // With the mutex held, these five. True: the driver is to be told, with `tell`, after unlocking.
  bool enqueue(OwnedRun& run);
  bool mark_dirty(OwnedRun& run);
  void adopt(RunLease lease, JournalSeq last_seq);
  Result<OwnedRun*> find(const RunLease& lease);
  void forget(OwnedRun& run);

  void tell();
  // Commits what waits and answers; false when nothing did.
  bool commit_once();
  // One piece of the store's work for idle moments.
  void tidy_once();
  // The thread's life.
  void run_thread();
  // False in a callback, which is on the committing thread.
  bool others_commit() const;

  // Until `done` (under the mutex) says so: commits here, or waits for the thread.
  template <class Done>
  void commit_until(const Done& done) {
    std::unique_lock lock(mutex);
    while (!done()) {
      if (others_commit()) {
        finished.wait(lock);
        continue;
      }
      lock.unlock();
      commit_once();
      lock.lock();
    }
  }

 private:
  // One run's part of a commit that is under way, beside its RunCommit.
  struct Flight {
    std::shared_ptr<OwnedRun> run;
    std::vector<WaitingAppend> waiting;
    std::shared_ptr<CloseRequest> close;
  };

  SteadyNs now() const;
  void queue_dirty();
  bool card_rides(const OwnedRun& run, bool flush) const;
  // What waits, as commits.
  std::vector<Flight> take(std::vector<RunCommit>& commits_out);
  void answer(std::vector<WaitingAppend>& waiting, const Error* error);
  void succeed(Flight& flight, const RunCommit& commit);
  void give_up(Flight& flight, RunCommit& commit, const Error& error, bool lost);
  // One thread at a time makes the callbacks, so that they come in the order of the appends.
  void make_calls();
};

}  // namespace sluice
