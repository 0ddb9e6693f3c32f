#include "runtime/recorder.h"

#include <algorithm>
#include <mutex>
#include <utility>

namespace sluice {

// What the journal's thread tells the run's thread.
struct Recorder::Frontier : std::enable_shared_from_this<Recorder::Frontier> {
  std::mutex mutex;      // all below
  Host* host = nullptr;  // null once the recorder is gone
  std::function<void()> moved;
  bool posted = false;
  bool appending = false;  // the run's thread looks for itself when it is back
  JournalSeq durable = 0;
  std::optional<Error> error;

  void tell(Result<JournalSeq> outcome) {
    std::lock_guard lock(mutex);
    if (!outcome) {
      if (!error) error = outcome.error();
    } else {
      if (*outcome <= durable) return;
      durable = *outcome;
    }
    if (appending) return;
    wake();
  }

  // With the mutex held: one post at a time carries any number of commits.
  void wake() {
    if (posted || host == nullptr) return;
    posted = true;
    host->post([weak = weak_from_this()] {
      auto self = weak.lock();
      if (!self) return;
      std::function<void()> call;
      {
        std::lock_guard lock(self->mutex);
        self->posted = false;
        if (self->host != nullptr) call = self->moved;
      }
      if (call) call();
    });
  }
};

Recorder::Recorder(RunJournal journal, Host& host, std::function<void()> moved)
    : journal_(std::move(journal)), frontier_(std::make_shared<Frontier>()) {
  frontier_->host = &host;
  frontier_->moved = std::move(moved);
}

Recorder::~Recorder() {
  std::lock_guard lock(frontier_->mutex);
  frontier_->host = nullptr;
  frontier_->moved = nullptr;
}

Journal::OnDurable Recorder::on_durable() {
  return [frontier = frontier_](Result<JournalSeq> outcome) { frontier->tell(std::move(outcome)); };
}

JournalSeq Recorder::append(const Record& record, std::vector<JournalContent> contents) {
  JournalBatch batch;
  batch.records.push_back(encode_record(record));
  batch.contents = std::move(contents);
  Unsaved copy{last_ + 1, batch};
  if (trouble_) {
    unsaved_.push_back(std::move(copy));
    return ++last_;
  }
  {
    std::lock_guard lock(frontier_->mutex);
    frontier_->appending = true;
  }
  Result<JournalSeq> appended =
      journal_.journal.append(journal_.lease, std::move(batch), on_durable());
  {
    std::lock_guard lock(frontier_->mutex);
    frontier_->appending = false;
    if (!appended && !frontier_->error) frontier_->error = appended.error();
  }
  last_ = appended ? *appended : last_ + 1;
  copy.seq = last_;
  unsaved_.push_back(std::move(copy));
  return last_;
}

JournalSeq Recorder::durable() {
  JournalSeq durable = 0;
  {
    std::lock_guard lock(frontier_->mutex);
    durable = frontier_->durable;
    if (frontier_->error && !trouble_) trouble_ = frontier_->error;
  }
  while (!unsaved_.empty() && unsaved_.front().seq <= durable) unsaved_.pop_front();
  std::uint64_t message = 0;
  while (!acknowledgements_.empty() && acknowledgements_.front().first <= durable) {
    message = std::max(message, acknowledgements_.front().second);
    acknowledgements_.pop_front();
  }
  // Failing to forget costs nothing: the message is known to have been taken.
  if (message != 0) (void)journal_.journal.acknowledge(journal_.lease, message);
  return durable;
}

void Recorder::continue_after(JournalSeq first, JournalSeq last) {
  last_ = last;
  snapshot_seq_ = first > 1 ? first : 0;
  std::lock_guard lock(frontier_->mutex);
  frontier_->durable = last;
}

const std::optional<Error>& Recorder::trouble() {
  durable();
  return trouble_;
}

bool Recorder::fenced() const { return trouble_ && trouble_->code() == ErrorCode::kJournal; }

void Recorder::acknowledge_after(JournalSeq seq, std::uint64_t message) {
  acknowledgements_.emplace_back(seq, message);
}

void Recorder::save_rest(std::function<void(Result<void>)> done) {
  auto answer = [frontier = frontier_, done = std::move(done)](Result<void> outcome) {
    std::lock_guard lock(frontier->mutex);
    if (frontier->host != nullptr) frontier->host->post([done, outcome] { done(outcome); });
  };
  Result<JournalSeq> saved = journal_.journal.recover(journal_.lease);
  if (!saved) return answer(std::unexpected(saved.error()));
  JournalBatch rest;
  for (Unsaved& unsaved : unsaved_) {
    if (unsaved.seq <= *saved) continue;
    std::ranges::move(unsaved.batch.records, std::back_inserter(rest.records));
    std::ranges::move(unsaved.batch.contents, std::back_inserter(rest.contents));
  }
  unsaved_.clear();
  if (rest.records.empty()) return answer({});
  auto appended = journal_.journal.append(
      journal_.lease, std::move(rest), [answer](Result<JournalSeq> outcome) {
        answer(outcome ? Result<void>() : Result<void>(std::unexpected(outcome.error())));
      });
  if (!appended) answer(std::unexpected(appended.error()));
}

Result<void> Recorder::compact(const Record& snapshot) {
  auto done = journal_.journal.compact(journal_.lease, last_, encode_record(snapshot));
  snapshot_seq_ = last_;  // after a failure too: not at every record again
  return done;
}

Result<void> Recorder::close(JournaledRunState state) {
  return journal_.journal.close_run(journal_.lease, journal_.card, state);
}

}  // namespace sluice
