// Interrupting, trouble with the journal, and the end.

#include <fmt/format.h>

#include <utility>

#include "base/failpoint.h"
#include "runtime/run_loop_impl.h"

namespace sluice {
namespace {

constexpr std::int64_t kCardEveryNs = kNsPerSecond;

}  // namespace

void RunLoop::Impl::interrupt() {
  if (phase == Phase::kOver || (closing && closing->final)) return;
  if (phase == Phase::kGoing) {
    drain();
  } else if (phase == Phase::kDraining) {
    cut();
  }
  turn();
}

// Whoever asks may be inside of what a call has just told: the host is spoken to later.
void RunLoop::Impl::stop_new() {
  if (phase != Phase::kGoing || closing) return;
  phase = Phase::kDraining;
  host.post([weak = weak_from_this()] {
    auto self = weak.lock();
    if (!self || self->phase != Phase::kDraining) return;
    self->drain();
    self->turn();
  });
}

// Nothing new starts. Streams that can be read again end at once: they could go on for hours.
void RunLoop::Impl::drain() {
  phase = Phase::kDraining;
  for (OpenCallEffect* call : core->open.calls()) {
    const bool again = call->state == OpenCallEffect::State::kRunning && call->start.streaming &&
                       host.effect_of(call->start) != Effect::kOnce;
    if (!again) continue;
    call->state = OpenCallEffect::State::kCut;
    host.cancel(call->start.call);
  }
  for (const auto& [id, timer] : core->open.timers()) host.clear_timer(id);
}

void RunLoop::Impl::cut() {
  phase = Phase::kCutting;
  in_turn = true;  // what this leads to waits until all is cut
  for (OpenCallEffect* call : core->open.calls()) {
    switch (call->state) {
      case OpenCallEffect::State::kRunning:
        call->cut = true;
        host.cancel(call->start.call);
        break;
      case OpenCallEffect::State::kLeaving:
        withdraw(*call);
        break;
      case OpenCallEffect::State::kProbing:
        // What is known stands; whoever takes the run up asks again.
        call->state = call->doubt ? OpenCallEffect::State::kDoubtful : OpenCallEffect::State::kHeld;
        if (auto ended = std::exchange(call->doubtful_end, std::nullopt)) {
          settle_call(*call, std::move(*ended));
        }
        break;
      default:
        break;
    }
  }
  in_turn = false;
}

// More is durable than before, or nothing more will be.
void RunLoop::Impl::frontier_moved() {
  if (phase == Phase::kOver) return;
  if (recorder->trouble() && !trouble_seen) return in_trouble();
  const JournalSeq durable = recorder->durable();
  while (!leaving.empty() && leaving.front().first <= durable) {
    const auto [seq, ref] = leaving.front();
    leaving.pop_front();
    OpenCallEffect* call = core->open.find(ref);
    if (call == nullptr || call->leaves_after != seq) continue;
    const bool goes = call->state == OpenCallEffect::State::kLeaving ||
                      (call->state == OpenCallEffect::State::kHeld && !stopping());
    if (goes) perform(*call);
  }
  if (core->lost && !closing) return lose();
  if (closing) try_to_close();
}

// A value cannot be read back. The run stops where it is, as if the process had ended, and can go
// on when the store can be read again.
void RunLoop::Impl::lose() {
  RunOutcome outcome = core->state->outcome(RunStatus::kInterrupted);
  outcome.errors.insert(outcome.errors.begin(), *core->lost);
  const bool before = std::exchange(in_turn, true);
  drain();
  cut();
  queue.clear();
  in_turn = before;
  close_with(std::move(outcome), false);
}

// Disk full, an I/O error, or another owner. What is acknowledged stays; nothing new starts.
void RunLoop::Impl::in_trouble() {
  trouble_seen = true;
  leaving.clear();
  for (OpenCallEffect* call : core->open.calls()) {
    if (call->state != OpenCallEffect::State::kLeaving) continue;
    withdraw(*call);  // its intent may be durable all the same
  }
  if (recorder->fenced()) {
    // Another process goes on with the run: all that is ours to do is to let go.
    for (OpenCallEffect* call : core->open.calls()) {
      if (call->state == OpenCallEffect::State::kRunning) host.cancel(call->start.call);
    }
    RunOutcome outcome = core->state->outcome(RunStatus::kInterrupted);
    outcome.errors.insert(outcome.errors.begin(), *recorder->trouble());
    return finish(std::move(outcome));
  }
  if (phase == Phase::kGoing) drain();
  if (closing) return last_try();
  turn();
}

void RunLoop::Impl::end_decided() {
  if (!core->state->ended()) return;
  // A cancel, or the end of what was in doubt, came while the run was being put aside.
  if (closing && !closing->final && !closing->saving) closing.reset();
  if (closing) return;
  close_with(*core->open.end, true);
}

// Nothing is left but doubt. Who settles it may be about to speak: one more turn of the host first.
void RunLoop::Impl::end_in_doubt() {
  if (!recorder) return close_with(*core->open.end, false);
  if (std::exchange(doubt_posted, true)) return;
  host.post([weak = weak_from_this()] {
    auto self = weak.lock();
    if (!self || self->phase == Phase::kOver) return;
    self->doubt_posted = false;
    const bool still = self->core->open.end && self->queue.empty() && !self->core->binding() &&
                       self->core->open.in_hands() == 0 && !self->closing;
    if (still) self->close_with(*self->core->open.end, false);
  });
}

void RunLoop::Impl::close_with(RunOutcome outcome, bool final) {
  if (closing) return;
  closing = Closing{std::move(outcome), final, 0, false};
  if (phase == Phase::kGoing && !final) drain();  // whoever takes the run up goes on
  if (!recorder) return finish(std::move(closing->outcome));
  if (final) {
    RunEndedRecord ended;
    ended.status = closing->outcome.status;
    for (const Error& error : closing->outcome.errors) ended.errors.push_back(error.to_string());
    std::vector<JournalContent> contents;
    ended.result = closing->outcome.result;
    rest(ended.result, &contents);
    recorder->append({core->at, std::move(ended)}, std::move(contents));
  }
  closing->after = recorder->last();
  if (failpoint(Failpoint::kEndBeforeDurable)) return finish(std::move(closing->outcome));
  if (!in_turn) try_to_close();
}

void RunLoop::Impl::try_to_close() {
  if (closing->saving) return;
  if (trouble_seen) return last_try();
  if (recorder->trouble()) return in_trouble();
  if (recorder->durable() < closing->after) return;
  tell_card(true);
  const auto state = closing->final ? JournaledRunState::kEnded : JournaledRunState::kOpen;
  if (auto closed = recorder->close(state); !closed) {
    closing->outcome.errors.push_back(closed.error());
    if (closing->final) closing->outcome.status = RunStatus::kInterrupted;
  }
  finish(std::move(closing->outcome));
}

void RunLoop::Impl::last_try() {
  closing->saving = true;
  recorder->save_rest([weak = weak_from_this()](Result<void> saved) {
    auto self = weak.lock();
    if (!self || self->phase == Phase::kOver) return;
    Closing& closing = *self->closing;
    const bool final = closing.final && saved.has_value();
    RunOutcome outcome = std::move(closing.outcome);
    if (!final) {
      if (closing.final) outcome = self->core->state->outcome(RunStatus::kInterrupted);
      outcome.errors.insert(outcome.errors.begin(), *self->recorder->trouble());
    }
    if (!saved) {
      outcome.errors.push_back(Error(ErrorCode::kJournal,
                                     "what came after the trouble with the journal is not saved; "
                                     "resuming does it again")
                                   .with_cause(saved.error()));
    }
    closing.outcome = outcome;
    self->tell_card(true);
    (void)self->recorder->close(final ? JournaledRunState::kEnded : JournaledRunState::kOpen);
    self->finish(std::move(outcome));
  });
}

void RunLoop::Impl::finish(RunOutcome outcome) {
  if (phase == Phase::kOver) return;
  phase = Phase::kOver;
  queue.clear();
  auto end = std::move(on_end);
  if (end) end(std::move(outcome));
}

// ---- the card ----

std::string RunLoop::Impl::status_now() const {
  if (closing) return std::string(run_status_name(closing->outcome.status));
  if (phase != Phase::kGoing) return "stopping";
  const bool waits = core->open.call_count() == 0 && !core->binding() && queue.empty() &&
                     core->open.admits().empty() && card->waiting() > 0;
  return waits ? "waiting" : "running";
}

// At changes of the status, and now and then between them.
void RunLoop::Impl::tell_card(bool now) {
  if (!recorder || !card) return;
  const bool idle = core->open.call_count() == 0 && !core->binding();
  const bool due = core->at - card_at >= kCardEveryNs && card->version() != card_version;
  if (!now && !due && !idle) return;
  std::string status = status_now();
  if (!now && !due && status == card_status) return;
  RunCard& told = recorder->journal().card;
  card->fill(told);
  if (told.note.empty() && told.waits > 0) {
    const auto waits = core->state->waits();
    if (!waits.empty()) told.note = "waits: " + waits.front().task_id;
  }
  if (closing && told.note.empty() && !closing->outcome.errors.empty()) {
    told.note = closing->outcome.errors.front().to_string();
  }
  told.status = status;
  told.updated_ns = host.wall_now();
  recorder->put_card();
  card_status = std::move(status);
  card_version = card->version();
  card_at = core->at;
}

}  // namespace sluice
