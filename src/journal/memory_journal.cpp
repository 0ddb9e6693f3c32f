// The in-memory journal: nothing survives the process. Everything is durable the moment it is
// appended, so callbacks run inside append, outside the lock.
#include <map>
#include <mutex>
#include <utility>

#include "journal/journal.h"

namespace sluice {
namespace {

struct RunLog {
  std::uint64_t epoch = 0;
  JournaledRunState state = JournaledRunState::kOpen;
  WallNs started_ns = 0;
  std::vector<JournalRecord> records;
};

class MemoryJournal final : public Journal {
 public:
  Result<RunLease> open_run(std::string_view run_id, WallNs now) override {
    std::lock_guard lock(mutex_);
    auto [found, is_new] = runs_.try_emplace(std::string(run_id));
    RunLog& run = found->second;
    if (is_new) run.started_ns = now;
    // Every owner lives in this process, so whoever asks last is the owner: earlier leases fail.
    run.epoch += 1;
    return RunLease{std::string(run_id), run.epoch};
  }

  Result<JournalSeq> append(const RunLease& lease, std::span<const JournalRecord> records,
                            std::function<void(Result<JournalSeq>)> on_durable) override {
    JournalSeq last = 0;
    {
      std::lock_guard lock(mutex_);
      auto run = owned(lease);
      if (!run) return std::unexpected(run.error());
      auto& log = (*run)->records;
      log.insert(log.end(), records.begin(), records.end());
      last = log.size();
    }
    if (on_durable) on_durable(last);
    return last;
  }

  Result<void> end_run(const RunLease& lease) override {
    std::lock_guard lock(mutex_);
    auto run = owned(lease);
    if (!run) return std::unexpected(run.error());
    (*run)->state = JournaledRunState::kEnded;
    return {};
  }

  Result<void> read(std::string_view run_id, JournalSeq first,
                    const std::function<bool(JournalSeq, const JournalRecord&)>& visit) override {
    std::vector<JournalRecord> copy;  // the visitor may call back into the journal
    JournalSeq seq = first == 0 ? 1 : first;
    {
      std::lock_guard lock(mutex_);
      auto found = runs_.find(run_id);
      if (found == runs_.end()) {
        return fail(ErrorCode::kJournal, "the journal has no run " + std::string(run_id));
      }
      const auto& log = found->second.records;
      if (seq <= log.size())
        copy.assign(log.begin() + static_cast<std::ptrdiff_t>(seq - 1), log.end());
    }
    for (const auto& record : copy) {
      if (!visit(seq++, record)) break;
    }
    return {};
  }

  Result<std::vector<JournaledRun>> list_runs() override {
    std::lock_guard lock(mutex_);
    std::vector<JournaledRun> list;
    for (const auto& [id, run] : runs_) {
      list.push_back({id, run.state, run.started_ns, run.records.size()});
    }
    return list;
  }

  Result<Hash256> put_content(std::string_view bytes) override {
    const Hash256 hash = sha256(bytes);
    std::lock_guard lock(mutex_);
    contents_.try_emplace(hash, bytes);
    return hash;
  }

  Result<std::string> get_content(const Hash256& hash) override {
    std::lock_guard lock(mutex_);
    auto found = contents_.find(hash);
    if (found == contents_.end()) {
      return fail(ErrorCode::kJournal, "the journal has no content " + hash.hex());
    }
    return found->second;
  }

 private:
  // The log that the lease owns. Call with the lock held.
  Result<RunLog*> owned(const RunLease& lease) {
    auto found = runs_.find(lease.run_id);
    if (found == runs_.end()) {
      return fail(ErrorCode::kJournal, "run " + lease.run_id + " was never opened");
    }
    if (found->second.epoch != lease.epoch) {
      return fail(ErrorCode::kJournal, "run " + lease.run_id + " has a new owner");
    }
    if (found->second.state == JournaledRunState::kEnded) {
      return fail(ErrorCode::kJournal, "run " + lease.run_id + " has ended");
    }
    return &found->second;
  }

  std::mutex mutex_;
  std::map<std::string, RunLog, std::less<>> runs_;
  std::map<Hash256, std::string> contents_;
};

}  // namespace

std::unique_ptr<Journal> make_memory_journal() { return std::make_unique<MemoryJournal>(); }

}  // namespace sluice
