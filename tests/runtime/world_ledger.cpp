#include "tests/runtime/world_ledger.h"

namespace sluice::testing {

void WorldLedger::started(const StartCall& start) {
  if (start.undo) return undo_started(start);
  const TaskRef& task = start.call.task;
  if (began_undo_) violate_("a call started after undoing began", task);
  auto [state, first] = states_.emplace(start.call, State::kOpen);
  if (!first && state->second != State::kResumed) violate_("a call started twice", task);
  state->second = State::kOpen;
  if (start.idempotency_key.empty()) violate_("a call without a key", task);
  auto [name, fresh] = names_.emplace(start.idempotency_key, start.task_id);
  if (!fresh && name->second != start.task_id) violate_("a key of two tasks", task);
  if (start.call.call > 0) return;
  auto [key, new_key] = keys_.emplace(std::tuple(task, start.call.round), start.idempotency_key);
  if (!new_key && key->second != start.idempotency_key)
    violate_("an attempt changed the key", task);
}

void WorldLedger::ended(const StartCall& start, const CallEnded& ended) {
  if (start.undo) return undo_ended(ended);
  const auto* returned = std::get_if<CallReturned>(&ended.outcome);
  const auto* failed = std::get_if<CallFailed>(&ended.outcome);
  State& state = states_.at(ended.call);
  if (state != State::kOpen && state != State::kDoubtful)
    violate_("an end of no call", start.call.task);
  state = failed && failed->doubt ? State::kDoubtful : failed ? State::kFailed : State::kHappened;
  const bool own = start.step->logical.op == OperatorKind::kTool || ended.call.call > 0;
  if (returned && !returned->cached && own && start.step->has_undo && undo_) {
    done_.push_back({ended.call, returned->output, start.step});
  }
}

void WorldLedger::resumed(const CallRef& call) {
  if (call.undoes()) {
    undoing_ = false;
  } else {
    states_.at(call) = State::kResumed;
  }
}

void WorldLedger::undo_started(const StartCall& start) {
  began_undo_ = true;
  if (done_.empty()) return violate_("undone without having been done", start.call.task);
  CallRef wanted = done_.back().call;
  wanted.call = static_cast<std::uint16_t>(wanted.call | kUndoCall);
  wanted.attempt += undo_failures_ << kUndoAttemptBit;
  if (start.call != wanted) violate_("undone out of order", start.call.task);
  if (!(start.undone == done_.back().output))
    violate_("undone with another output", start.call.task);
  if (undoing_) violate_("two calls are undone at once", start.call.task);
  undoing_ = true;
}

void WorldLedger::undo_ended(const CallEnded& ended) {
  const auto* failed = std::get_if<CallFailed>(&ended.outcome);
  if (failed && failed->doubt) return;
  undoing_ = false;
  if (done_.empty()) return;
  if (failed) {
    const std::optional<RetryRule>& retry = done_.back().step->logical.retry;
    if (retry && ++undo_failures_ < retry->attempts) return;
  } else {
    ++undone_;
  }
  undo_failures_ = 0;
  done_.pop_back();
}

void WorldLedger::signal_sent(const SignalReceived& signal) {
  sent_.emplace(signal.message, signal);
}

void WorldLedger::signal_taken(std::uint64_t message, const TaskRef& task) {
  if (!taken_.insert(message).second) violate_("a signal was taken twice", task);
  auto sent = sent_.find(message);
  if (sent == sent_.end()) return violate_("a signal that nobody sent", task);
  if (!sent->second.task.empty()) return;
  std::uint64_t& last = last_taken_[sent->second.name];
  if (message < last) violate_("signals were taken out of order", task);
  last = message;
}

void WorldLedger::run_ended(RunStatus status) {
  if (status == RunStatus::kSucceeded || status == RunStatus::kInDoubt) {
    if (began_undo_ && status == RunStatus::kSucceeded) violate_("undone after a success", {});
    return;
  }
  if (!done_.empty()) violate_("finished calls were left as they are", done_.back().call.task);
  if (undoing_) violate_("the run ended while it was undoing", {});
}

}  // namespace sluice::testing
