// Recorder: one run's side of the journal. Appends records, knows how far they are durable (the
// frontier), and keeps those that are not yet, for one last try after trouble. The run's thread
// only, but for what the journal calls back.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "runtime/host.h"
#include "runtime/record.h"
#include "runtime/run_loop.h"

namespace sluice {

class Recorder {
 public:
  // `moved` is called on the run's thread when more is durable than before, or when there is
  // trouble; never from inside a method of the recorder.
  Recorder(RunJournal journal, Host& host, std::function<void()> moved);
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  // Number of the record; never durable when there is trouble. Cheap: nothing waits.
  JournalSeq append(const Record& record, std::vector<JournalContent> contents = {});
  JournalSeq last() const { return last_; }
  JournalSeq durable();
  // The records that were read from the journal; they are durable.
  void continue_after(JournalSeq first, JournalSeq last);

  // What went wrong, after which nothing more is appended. Fenced: another process owns the run.
  const std::optional<Error>& trouble();
  bool fenced() const;
  // Appends what is not durable yet once more; `done` comes later, on the run's thread, with what
  // came of it.
  void save_rest(std::function<void(Result<void>)> done);

  // Once the record `seq` is durable, the inbox may forget messages up to `message`.
  void acknowledge_after(JournalSeq seq, std::uint64_t message);
  Result<void> compact(const Record& snapshot);
  std::uint64_t since_snapshot() const { return last_ - snapshot_seq_; }
  void put_off_snapshot() { snapshot_seq_ = last_; }

  RunJournal& journal() { return journal_; }
  void put_card() { journal_.journal.set_card(journal_.lease, journal_.card); }
  Result<void> close(JournaledRunState state);

 private:
  struct Frontier;
  struct Unsaved {
    JournalSeq seq;
    JournalBatch batch;
  };
  Journal::OnDurable on_durable();
  void forget_saved();

  RunJournal journal_;
  std::shared_ptr<Frontier> frontier_;
  JournalSeq last_ = 0;
  JournalSeq snapshot_seq_ = 0;
  std::optional<Error> trouble_;
  std::deque<Unsaved> unsaved_;
  std::deque<std::pair<JournalSeq, std::uint64_t>> acknowledgements_;
};

}  // namespace sluice
