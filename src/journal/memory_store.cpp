// The store in memory: nothing survives the process. Every run's owner is this store.
#include <algorithm>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "journal/group_commit.h"

namespace sluice {
namespace {

struct RunLog {
  JournaledRunState state = JournaledRunState::kOpen;
  std::uint64_t epoch = 0;
  bool owned = false;
  std::uint64_t order = 0;  // of creation
  RunCard card;
  JournalSeq first_seq = 1;
  std::vector<JournalRecord> records;  // from first_seq on
  std::uint64_t bytes = 0;
  std::set<Hash256> contents;
  std::uint64_t last_inbox = 0;
  std::vector<InboxMessage> inbox;

  JournalSeq last_seq() const { return first_seq + records.size() - 1; }
};

struct SharedContent {
  std::string bytes;
  std::size_t runs = 0;  // that name it
};

Error unknown_run(std::string_view run_id) {
  return Error(ErrorCode::kRunUnknown, "the journal has no run " + std::string(run_id));
}
Error busy_run(std::string_view run_id) {
  return Error(ErrorCode::kRunBusy, "run " + std::string(run_id) + " is owned by this process");
}

class MemoryStore final : public JournalStore {
 public:
  Result<RunLease> create_run(std::string_view run_id, const RunCard& card,
                              const JournalBatch& first) override {
    std::lock_guard lock(mutex_);
    auto [found, is_new] = runs_.try_emplace(std::string(run_id));
    if (!is_new) {
      return fail(ErrorCode::kJournal, "the journal already has a run " + std::string(run_id));
    }
    RunLog& run = found->second;
    run.card = card;
    run.epoch = 1;
    run.owned = true;
    run.order = ++created_;
    RunCommit commit{
        .lease = {found->first, 1}, .records = first.records, .contents = first.contents};
    write(run, commit);
    return commit.lease;
  }

  Result<Taken> take_over(std::string_view run_id) override {
    std::lock_guard lock(mutex_);
    auto found = runs_.find(run_id);
    if (found == runs_.end()) return std::unexpected(unknown_run(run_id));
    RunLog& run = found->second;
    if (run.state == JournaledRunState::kEnded) {
      return fail(ErrorCode::kRunEnded, "run " + found->first + " has ended");
    }
    if (run.owned) return std::unexpected(busy_run(run_id));
    run.owned = true;
    run.epoch += 1;
    return Taken{{found->first, run.epoch}, run.last_seq()};
  }

  Result<void> commit(std::span<RunCommit> commits) override {
    std::lock_guard lock(mutex_);
    for (auto& commit : commits) {
      auto run = owned(commit.lease);
      if (!run) {
        commit.outcome = std::unexpected(run.error());
        continue;
      }
      commit.outcome = {};
      write(**run, commit);
    }
    return {};
  }

  Result<JournalSeq> last_seq(const RunLease& lease) override {
    std::lock_guard lock(mutex_);
    auto run = owned(lease);
    if (!run) return std::unexpected(run.error());
    return (*run)->last_seq();
  }

  Result<void> compact(const RunLease& lease, JournalSeq upto,
                       const JournalRecord& snapshot) override {
    std::lock_guard lock(mutex_);
    auto found = owned(lease);
    if (!found) return std::unexpected(found.error());
    RunLog& run = **found;
    if (upto < run.first_seq || upto > run.last_seq()) {
      return fail(ErrorCode::kJournal, "run " + lease.run_id + " has no record " +
                                           std::to_string(upto) + " to compact up to");
    }
    const auto gone = static_cast<std::ptrdiff_t>(upto - run.first_seq);
    run.records.erase(run.records.begin(), run.records.begin() + gone);
    run.records.front() = snapshot;
    run.first_seq = upto;
    return {};
  }

  Result<void> read(std::string_view run_id, JournalSeq first,
                    const Journal::Visit& visit) override {
    std::vector<JournalRecord> copy;  // the visitor may call back
    JournalSeq seq = 0;
    {
      std::lock_guard lock(mutex_);
      auto found = runs_.find(run_id);
      if (found == runs_.end()) return std::unexpected(unknown_run(run_id));
      const RunLog& run = found->second;
      seq = std::max(first, run.first_seq);
      if (seq <= run.last_seq()) {
        copy.assign(run.records.begin() + static_cast<std::ptrdiff_t>(seq - run.first_seq),
                    run.records.end());
      }
    }
    for (const auto& record : copy) {
      if (!visit(seq++, record)) break;
    }
    return {};
  }

  Result<JournaledRun> find_run(std::string_view run_id) override {
    std::lock_guard lock(mutex_);
    auto found = runs_.find(run_id);
    if (found == runs_.end()) return std::unexpected(unknown_run(run_id));
    return listed(found->first, found->second);
  }

  Result<std::vector<JournaledRun>> list_runs(const RunQuery& query) override {
    std::lock_guard lock(mutex_);
    std::vector<const std::pair<const std::string, RunLog>*> chosen;
    for (const auto& one : runs_) {
      const RunLog& run = one.second;
      if (query.state && run.state != *query.state) continue;
      if (!query.status.empty() && run.card.status != query.status) continue;
      if (!query.plan.empty() && run.card.plan != query.plan) continue;
      if (query.started_after_ns != 0 && run.card.started_ns <= query.started_after_ns) continue;
      chosen.push_back(&one);
    }
    std::ranges::sort(chosen, std::greater(), [](const auto* one) {
      return std::pair(one->second.card.started_ns, one->second.order);
    });
    if (chosen.size() > query.limit) chosen.resize(query.limit);
    std::vector<JournaledRun> list;
    list.reserve(chosen.size());
    for (const auto* one : chosen) list.push_back(listed(one->first, one->second));
    return list;
  }

  Result<void> delete_run(std::string_view run_id) override {
    std::lock_guard lock(mutex_);
    auto found = runs_.find(run_id);
    if (found == runs_.end()) return std::unexpected(unknown_run(run_id));
    if (found->second.owned) return std::unexpected(busy_run(run_id));
    for (const auto& hash : found->second.contents) {
      auto content = contents_.find(hash);
      if (--content->second.runs == 0) contents_.erase(content);
    }
    runs_.erase(found);
    return {};
  }

  Result<bool> tidy_up() override { return false; }

  Result<std::uint64_t> send(std::string_view run_id, std::string_view kind, std::string_view body,
                             WallNs now) override {
    std::lock_guard lock(mutex_);
    auto found = runs_.find(run_id);
    if (found == runs_.end()) return std::unexpected(unknown_run(run_id));
    RunLog& run = found->second;
    if (run.state == JournaledRunState::kEnded) {
      return fail(ErrorCode::kRunEnded, "run " + found->first + " has ended and hears nothing");
    }
    run.inbox.push_back({++run.last_inbox, std::string(kind), std::string(body), now});
    return run.last_inbox;
  }

  Result<std::vector<InboxMessage>> inbox(std::string_view run_id,
                                          std::uint64_t after_id) override {
    std::lock_guard lock(mutex_);
    auto found = runs_.find(run_id);
    if (found == runs_.end()) return std::unexpected(unknown_run(run_id));
    std::vector<InboxMessage> list;
    for (const auto& message : found->second.inbox) {
      if (message.id > after_id) list.push_back(message);
    }
    return list;
  }

  Result<std::string> content(const Hash256& hash) override {
    std::lock_guard lock(mutex_);
    auto found = contents_.find(hash);
    if (found == contents_.end()) {
      return fail(ErrorCode::kJournal, "the journal has no content " + hash.hex());
    }
    return found->second.bytes;
  }

  Result<void> check(const std::function<void(const JournalDamage&)>&) override { return {}; }

 private:
  // The log that the lease owns. With the lock held, as all below.
  Result<RunLog*> owned(const RunLease& lease) {
    auto found = runs_.find(lease.run_id);
    if (found == runs_.end()) {
      return fail(ErrorCode::kJournal, "run " + lease.run_id + " was deleted");
    }
    if (found->second.epoch != lease.epoch || !found->second.owned) {
      return fail(ErrorCode::kJournal, "run " + lease.run_id + " has a new owner");
    }
    return &found->second;
  }

  void write(RunLog& run, RunCommit& commit) {
    for (auto& content : commit.contents) {
      if (!run.contents.insert(content.hash).second) continue;
      run.bytes += content.bytes.size();
      auto [shared, is_new] = contents_.try_emplace(content.hash);
      if (is_new) shared->second.bytes = std::move(content.bytes);
      ++shared->second.runs;
    }
    for (auto& record : commit.records) {
      run.bytes += record.body.size();
      run.records.push_back(std::move(record));
    }
    if (commit.card) run.card = *commit.card;
    std::erase_if(run.inbox, [&](const auto& one) { return one.id <= commit.acknowledged; });
    if (commit.close) {
      run.state = *commit.close;
      run.owned = false;
    }
  }

  static JournaledRun listed(const std::string& run_id, const RunLog& run) {
    return {.run_id = run_id,
            .state = run.state,
            .card = run.card,
            .first_seq = run.first_seq,
            .last_seq = run.last_seq(),
            .bytes = run.bytes,
            .owner = run.owned ? "this process" : ""};
  }

  std::mutex mutex_;
  std::map<std::string, RunLog, std::less<>> runs_;
  std::map<Hash256, SharedContent> contents_;
  std::uint64_t created_ = 0;
};

}  // namespace

std::unique_ptr<JournalStore> make_memory_store() { return std::make_unique<MemoryStore>(); }

std::unique_ptr<Journal> make_memory_journal() {
  return std::make_unique<GroupCommitJournal>(make_memory_store(),
                                              GroupCommitJournal::Driver::kInline);
}

}  // namespace sluice
