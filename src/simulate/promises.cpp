#include "simulate/promises.h"

#include <fmt/format.h>

#include <memory>
#include <utility>

#include "simulate/sim_tools.h"

namespace sluice {

std::uint64_t record_mark(const JournalRecord& record) {
  return text_number(record.body, record.type * 8 + record.version);
}

std::string Promises::broken(const std::map<JournalSeq, std::uint64_t>& now) const {
  const JournalSeq first = now.empty() ? 1 : now.begin()->first;
  if (first < compacted_) return fmt::format("compaction up to {} is undone", compacted_);
  if (first > 1) {
    if (!snapshots_.contains(*now.begin()))
      return fmt::format("everything before {} is gone", first);
  }
  for (const auto& [seq, mark] : records_) {
    if (first > 1 && seq <= first) continue;
    auto found = now.find(seq);
    if (found == now.end()) return fmt::format("record {} was acknowledged and is gone", seq);
    if (found->second != mark) return fmt::format("record {} is not what was acknowledged", seq);
  }
  JournalSeq before = 0;
  for (const auto& [seq, mark] : now) {
    if (before != 0 && seq != before + 1) return fmt::format("record {} is missing", before + 1);
    before = seq;
  }
  for (const auto& [begin, marks] : batches_) {
    if (first > 1 && begin <= first) continue;
    std::size_t there = 0;
    for (std::size_t i = 0; i < marks.size(); ++i) {
      auto found = now.find(begin + i);
      there += found != now.end() && found->second == marks[i];
    }
    // The first of them is its process's own; later ones may have been written by another one too.
    auto found = now.find(begin);
    const bool begun = found != now.end() && found->second == marks.front();
    if (begun && there != marks.size()) {
      return fmt::format("of the {} records from {} on only {} are there", marks.size(), begin,
                         there);
    }
  }
  return "";
}

std::string Promises::falsified(const std::map<JournalSeq, std::uint64_t>& now) const {
  for (const auto& record : now) {
    if (written_.contains(record) || snapshots_.contains(record)) continue;
    return fmt::format("record {} was read although it is damaged", record.first);
  }
  return "";
}

Result<RunLease> WatchedJournal::create_run(std::string_view run_id, const RunCard& card,
                                            JournalBatch first) {
  std::vector<std::uint64_t> marks;
  for (const JournalRecord& record : first.records) {
    marks.push_back(record_mark(record));
    promises_.written(marks.size(), marks.back());  // whether or not anybody hears of it
  }
  Result<RunLease> lease = journal_.create_run(run_id, card, std::move(first));
  if (!lease || !alive_()) return lease;
  for (std::size_t i = 0; i < marks.size(); ++i) promises_.acknowledged(i + 1, marks[i]);
  promises_.batch(1, marks);
  return lease;
}
Result<RunLease> WatchedJournal::take_over(std::string_view run_id) {
  return journal_.take_over(run_id);
}
Result<void> WatchedJournal::close_run(const RunLease& lease, const RunCard& card,
                                       JournaledRunState state) {
  return journal_.close_run(lease, card, state);
}

Result<JournalSeq> WatchedJournal::append(const RunLease& lease, JournalBatch batch,
                                          OnDurable on_durable) {
  auto marks = std::make_shared<std::vector<std::uint64_t>>();
  for (const JournalRecord& record : batch.records) marks->push_back(record_mark(record));
  auto acknowledged = [this, marks, call = std::move(on_durable)](Result<JournalSeq> last) {
    if (!alive_()) return;
    if (last) {
      const JournalSeq first = *last + 1 - marks->size();
      for (std::size_t i = 0; i < marks->size(); ++i) {
        promises_.acknowledged(first + i, (*marks)[i]);
      }
    }
    if (call) call(std::move(last));
  };
  Result<JournalSeq> last = journal_.append(lease, std::move(batch), std::move(acknowledged));
  // What is appended once more after a failure may be there from the first time, one by one.
  const bool again = last && promises_.was_written(*last + 1 - marks->size(), marks->front());
  for (std::size_t i = 0; last && i < marks->size(); ++i) {
    promises_.written(*last + 1 - marks->size() + i, (*marks)[i]);
  }
  if (last && !again && marks->size() > 1) promises_.batch(*last + 1 - marks->size(), *marks);
  return last;
}

Result<JournalSeq> WatchedJournal::recover(const RunLease& lease) {
  return journal_.recover(lease);
}
void WatchedJournal::set_card(const RunLease& lease, const RunCard& card) {
  journal_.set_card(lease, card);
}

Result<void> WatchedJournal::compact(const RunLease& lease, JournalSeq upto,
                                     const JournalRecord& snapshot) {
  promises_.compacting(upto, record_mark(snapshot));
  Result<void> done = journal_.compact(lease, upto, snapshot);
  if (done && alive_()) promises_.compacted(upto);
  return done;
}

Result<void> WatchedJournal::read(std::string_view run_id, JournalSeq first, const Visit& visit) {
  return journal_.read(run_id, first, visit);
}
Result<JournaledRun> WatchedJournal::find_run(std::string_view run_id) {
  return journal_.find_run(run_id);
}
Result<std::vector<JournaledRun>> WatchedJournal::list_runs(const RunQuery& query) {
  return journal_.list_runs(query);
}
Result<void> WatchedJournal::delete_run(std::string_view run_id) {
  return journal_.delete_run(run_id);
}

Result<std::uint64_t> WatchedJournal::send(std::string_view run_id, std::string_view kind,
                                           std::string_view body, WallNs now) {
  Result<std::uint64_t> id = journal_.send(run_id, kind, body, now);
  if (id && alive_()) promises_.sent(*id);
  return id;
}

Result<std::vector<InboxMessage>> WatchedJournal::inbox(std::string_view run_id,
                                                        std::uint64_t after_id) {
  return journal_.inbox(run_id, after_id);
}
Result<void> WatchedJournal::acknowledge(const RunLease& lease, std::uint64_t id) {
  return journal_.acknowledge(lease, id);
}
Result<std::string> WatchedJournal::content(const Hash256& hash) { return journal_.content(hash); }
Result<void> WatchedJournal::check(const std::function<void(const JournalDamage&)>& found) {
  return journal_.check(found);
}

}  // namespace sluice
