// Promises: what the journals of a world have acknowledged, held against what they later say. A
// WatchedJournal stands between a run loop and its journal and writes the promises down. One
// thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "journal/journal.h"

namespace sluice {

std::uint64_t record_mark(const JournalRecord& record);

class Promises {
 public:
  void written(JournalSeq seq, std::uint64_t mark) { written_.emplace(seq, mark); }
  bool was_written(JournalSeq seq, std::uint64_t mark) const {
    return written_.contains({seq, mark});
  }
  void acknowledged(JournalSeq seq, std::uint64_t mark) { records_[seq] = mark; }
  // What was appended together, acknowledged or not: all of it is there, or nothing.
  void batch(JournalSeq first, std::vector<std::uint64_t> marks) {
    batches_.emplace_back(first, std::move(marks));
  }
  // A snapshot may now stand for all records up to `upto`: asked for, and perhaps acknowledged.
  void compacting(JournalSeq upto, std::uint64_t snapshot) { snapshots_.emplace(upto, snapshot); }
  void compacted(JournalSeq upto) { compacted_ = std::max(compacted_, upto); }
  void sent(std::uint64_t message) { messages_.insert(message); }

  // What is wrong with the records of a journal, all of them as read now; "" when every promise was
  // kept.
  std::string broken(const std::map<JournalSeq, std::uint64_t>& now) const;
  // On a disk that rots, records may be lost; none may be one that nobody wrote.
  std::string falsified(const std::map<JournalSeq, std::uint64_t>& now) const;
  const std::set<std::uint64_t>& messages() const { return messages_; }
  std::size_t count() const { return records_.size(); }

 private:
  std::map<JournalSeq, std::uint64_t> records_;
  std::set<std::pair<JournalSeq, std::uint64_t>> written_;  // acknowledged or not
  std::vector<std::pair<JournalSeq, std::vector<std::uint64_t>>> batches_;
  std::set<std::uint64_t> messages_;
  std::set<std::pair<JournalSeq, std::uint64_t>> snapshots_;
  JournalSeq compacted_ = 0;
};

class WatchedJournal final : public Journal {
 public:
  // `alive`: only the living can be told anything.
  WatchedJournal(Journal& journal, Promises& promises, std::function<bool()> alive)
      : journal_(journal), promises_(promises), alive_(std::move(alive)) {}

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
  Journal& journal_;
  Promises& promises_;
  std::function<bool()> alive_;
};

}  // namespace sluice
