// What was decided, out to the host; ends of calls, streams, and calls in doubt.

#include <fmt/format.h>

#include <utility>

#include "base/failpoint.h"
#include "base/overloaded.h"
#include "plan/lower.h"
#include "runtime/run_loop_impl.h"

namespace sluice {
namespace {

// What a call says that was told to end and had done nothing.
bool says_nothing(const Error& error) {
  return error.code() == ErrorCode::kCancelled || error.code() == ErrorCode::kInterrupted;
}

Error cancelled() { return Error(ErrorCode::kCancelled, "cancelled before it could start"); }

}  // namespace

void RunLoop::Impl::carry_out() {
  if (core->sink.effects.empty()) return;
  std::vector<RunEffect> effects;
  effects.swap(core->sink.effects);
  for (RunEffect& effect : effects) {
    if (recorder) core->digest.add(effect);
    std::vector<Record> facts = core->early.take(effect);
    const bool known = !facts.empty();
    for (auto fact = facts.rbegin(); fact != facts.rend(); ++fact) {
      queue.push_front({std::move(*fact), true, true});
    }
    std::visit(Overloaded{
                   [&](StartCall&) {
                     OpenCallEffect* call = core->open.decided(std::move(effect), core->at);
                     if (!known) begin(*call);
                   },
                   [&](CancelCall& body) {
                     const CallRef ref = body.call;
                     core->open.decided(std::move(effect), core->at);
                     cancel_call(ref);
                   },
                   [&](ResumeCall& body) {
                     const CallRef ref = body.call;
                     core->open.decided(std::move(effect), core->at);
                     resume_stream(ref);
                   },
                   [&](AdmitPlan& body) {
                     const TaskRef task = body.task;
                     core->open.decided(std::move(effect), core->at);
                     if (!known && !stopping()) host.admit(core->open.admits().at(task));
                   },
                   [&](BeginWait& body) {
                     const CallRef ref = body.call;
                     core->open.decided(std::move(effect), core->at);
                     if (!known && !stopping()) host.begin_wait(core->open.waits().at(ref));
                   },
                   [&](SetTimer& body) {
                     const SetTimer timer = body;
                     core->open.decided(std::move(effect), core->at);
                     if (!known && !stopping()) host.set_timer(timer);
                   },
                   [&](ClearTimer& body) {
                     const std::uint64_t timer = body.timer;
                     core->open.decided(std::move(effect), core->at);
                     host.clear_timer(timer);
                   },
                   [&](EndRun&) {
                     core->open.decided(std::move(effect), core->at);
                     end_decided();
                   },
               },
               effect.body);
  }
}

// A call leaves at once when a repetition does no harm, else when all that led to it is durable.
void RunLoop::Impl::begin(OpenCallEffect& call) {
  if (stopping()) return;
  if (!take_old_key(call) || reuse_result(call)) return;
  if (!host.lets_begin(call.start)) return stop_new();
  if (!recorder) return perform(call);
  const Effect effect = host.effect_of(call.start);
  const bool once = effect == Effect::kOnce;
  if (!once && effect != Effect::kIdempotent && !call.start.undo) return perform(call);
  JournalSeq after = recorder->last();
  if (once && !call.intent && !failpoint(Failpoint::kSkipIntent)) {
    if (failpoint(Failpoint::kJournalAfterEffect)) {
      perform(call);
      recorder->append({core->at, IntentRecord{call.start.call}});
      return;
    }
    after = recorder->append({core->at, IntentRecord{call.start.call}});
    call.intent = true;
    call.state = OpenCallEffect::State::kLeaving;
  }
  if (recorder->durable() >= after) return perform(call);
  call.leaves_after = after;
  leaving.emplace_back(after, call.start.call);
}

// What the run that a fork came from knows of the same call; null for none. An error: that cannot
// be told now, and guessing could make the call a second time.
Result<const ReuseTable::Entry*> RunLoop::Impl::old_call(const StartCall& start) {
  const std::uint16_t number = start.call.call & static_cast<std::uint16_t>(~kUndoCall);
  if (!reuse || number != 0 || start.call.turn != 1 || start.step == nullptr) return nullptr;
  auto args = values.load(start.args);
  if (!args) return std::unexpected(args.error());
  return reuse->find(start.task_id, result_key(*start.step, *args));
}

// A fork makes a call again under the key that the world may know it by, and undoes it by that.
// False: which one that is cannot be read; the run stops.
bool RunLoop::Impl::take_old_key(OpenCallEffect& call) {
  auto entry = old_call(call.start);
  if (!entry) {
    core->lost = entry.error();
    return false;
  }
  if (*entry == nullptr || failpoint(Failpoint::kForkNewKey)) return true;
  call.start.idempotency_key = (*entry)->idempotency_key + (call.start.undo ? kUndoKeyEnd : "");
  return true;
}

// A fork takes over what the run that it came from got for the same call. True: it is not to be
// made now.
bool RunLoop::Impl::reuse_result(OpenCallEffect& call) {
  const StartCall& start = call.start;
  if (start.undo || start.streaming) return false;
  auto entry = old_call(start);
  if (entry && (*entry == nullptr || !(*entry)->returned)) return false;
  auto output = entry ? values.load((*entry)->returned->output)
                      : Result<Value>(std::unexpected(entry.error()));
  if (!output) {
    core->lost = output.error();
    return true;
  }
  CallEnded ended;
  ended.call = start.call;
  ended.outcome = CallReturned{std::move(*output), true};
  settle_call(call, std::move(ended));
  return true;
}

// The call with what rests in the ValueStore read back.
Result<StartCall> RunLoop::Impl::whole(const StartCall& start) {
  StartCall loaded = start;
  for (Value* value : {&loaded.args, &loaded.transcript, &loaded.wanted, &loaded.undone}) {
    if (!value->is_array() && !value->is_object() && value->kind() != Value::Kind::kBlob) continue;
    Result<Value> read = values.load(*value);
    if (!read) return std::unexpected(read.error());
    *value = *std::move(read);
  }
  return loaded;
}

void RunLoop::Impl::perform(OpenCallEffect& call) {
  Result<StartCall> start = whole(call.start);
  if (!start) {
    core->lost = start.error();
    return withdraw(call);  // it has not left
  }
  call.state = OpenCallEffect::State::kRunning;
  call.cut = false;
  call.skipped = call.skip_chain = call.credits_given = 0;
  host.perform(*start);
}

// The loop's own word on a call; it enters like any other event, after what is in hand.
void RunLoop::Impl::settle_call(OpenCallEffect& call, CallEnded ended) {
  call.state = OpenCallEffect::State::kAnswered;
  Event event;
  event.at = core->at;
  event.body = std::move(ended);
  enqueue(std::move(event), true);
}

void RunLoop::Impl::cancel_call(const CallRef& ref) {
  OpenCallEffect* call = core->open.find(ref);
  if (call == nullptr) return;
  if (call->state == OpenCallEffect::State::kRunning) return host.cancel(ref);
  if (call->state != OpenCallEffect::State::kHeld && call->state != OpenCallEffect::State::kLeaving)
    return;
  // It never left this process; an earlier one may have sent it: then it stays to be asked about.
  if (call->state == OpenCallEffect::State::kHeld && call->intent) return;
  settle_call(*call, {ref, CallFailed{cancelled()}, {}});
}

// ---- streams ----

void RunLoop::Impl::resume_stream(const CallRef& ref) {
  OpenCallEffect* call = core->open.find(ref);
  if (call != nullptr && call->state == OpenCallEffect::State::kRunning) catch_up_credits(*call);
}

// The host is given the credit that the consumers gave, as far as it has read.
void RunLoop::Impl::catch_up_credits(OpenCallEffect& call) {
  const std::uint64_t read = call.skipped < call.items ? call.skipped : UINT64_MAX;
  while (call.credits_given < call.credits && (call.credits_given + 1) * kStreamCredit <= read) {
    ++call.credits_given;
    host.resume(call.start.call);
  }
}

bool RunLoop::Impl::let_item_through(ItemEmitted& emitted) {
  OpenCallEffect* call = core->open.find(emitted.call);
  if (call == nullptr || call->state != OpenCallEffect::State::kRunning) return false;
  if (failpoint(Failpoint::kStreamNotSkipped)) call->skipped = call->items;
  if (call->skipped >= call->items) {
    ++call->skipped;  // keeps up with `items`
    return true;
  }
  Value item = values.keep(emitted.item);
  return skip_item(*call, item);
}

// Always false: an item that was journaled before is only compared.
bool RunLoop::Impl::skip_item(OpenCallEffect& call, const Value& item) {
  call.skip_chain = chain_item(call.skip_chain, item);
  ++call.skipped;
  if (call.skipped == call.items && call.skip_chain != call.items_chain) {
    host.cancel(call.start.call);
    settle_call(call, {call.start.call,
                       CallFailed{Error(ErrorCode::kStreamChanged,
                                        fmt::format("of the first {} items at least one is not "
                                                    "what it was; run the step anew",
                                                    call.items))},
                       {}});
    return false;
  }
  catch_up_credits(call);
  return false;
}

// ---- ends ----

bool RunLoop::Impl::let_through(Event& event) {
  if (auto* item = std::get_if<ItemEmitted>(&event.body)) return let_item_through(*item);
  if (auto* ended = std::get_if<CallEnded>(&event.body)) return let_end_through(*ended);
  // A timer that is left to the next process still has its time.
  if (std::holds_alternative<TimerFired>(event.body)) return !stopping();
  return true;
}

bool RunLoop::Impl::let_end_through(CallEnded& ended) {
  OpenCallEffect& call = *core->open.find(ended.call);
  auto* failed = std::get_if<CallFailed>(&ended.outcome);
  switch (call.state) {
    case OpenCallEffect::State::kRunning:
    case OpenCallEffect::State::kDoubtful:
      break;
    case OpenCallEffect::State::kCut:
      call.state = OpenCallEffect::State::kHeld;
      if (!call.unwanted) return false;
      ended.outcome = CallFailed{cancelled()};
      return true;
    default:
      return false;  // a second answer, or one to nothing
  }
  if (failed != nullptr && failed->doubt && failpoint(Failpoint::kDoubtAsFailure)) {
    failed->doubt = false;
  }
  const bool doubt = failed != nullptr && failed->doubt;
  if (call.cut && failed != nullptr && !doubt && !call.unwanted && says_nothing(failed->error) &&
      !failpoint(Failpoint::kCutIsFailure)) {
    // Nothing is known of the call but that we ended it: it is as if it had never been made.
    withdraw(call);
    return false;
  }
  if (failed == nullptr && call.skipped < call.items) {
    ended.outcome = CallFailed{
        Error(ErrorCode::kStreamChanged, fmt::format("it ended after {} items, but {} had come "
                                                     "from it before; run the step anew",
                                                     call.skipped, call.items))};
    return true;
  }
  if (!doubt || phase == Phase::kCutting || call.doubt || !host.has_probe(call.start)) return true;
  call.doubtful_end = std::move(ended);
  ask(call);
  return false;
}

void RunLoop::Impl::withdraw(OpenCallEffect& call) {
  call.state = OpenCallEffect::State::kHeld;
  if (!std::exchange(call.intent, false) || !recorder) return;
  recorder->append({core->at, IntentRecord{call.start.call, true}});
}

// ---- doubt ----

// One question about a call at a time: what the answer to an earlier one says may be about what was
// before the call was made again.
void RunLoop::Impl::ask(OpenCallEffect& call) {
  call.state = OpenCallEffect::State::kProbing;
  auto [asked, first] = asked_again.try_emplace(call.start.call, false);
  if (!first) {
    asked->second = true;
    return;
  }
  host.probe(call.start);
}

void RunLoop::Impl::probed(CallProbed answer) {
  if (phase == Phase::kOver) return;
  auto asked = asked_again.find(answer.call);
  const bool stale = asked != asked_again.end() && asked->second;
  if (asked != asked_again.end()) asked_again.erase(asked);
  OpenCallEffect* call = core->open.find(answer.call);
  if (call == nullptr || call->state != OpenCallEffect::State::kProbing) return;
  if (stale) return ask(*call);
  answer_probe(*call, std::move(answer));
  turn();
}

void RunLoop::Impl::answer_probe(OpenCallEffect& call, CallProbed answer) {
  CallEnded ended = call.doubtful_end.value_or(CallEnded{answer.call, CallFailed{cancelled()}, {}});
  const bool live = std::exchange(call.doubtful_end, std::nullopt).has_value();
  if (call.start.streaming && answer.state == CallProbed::State::kDone) {
    answer.state = CallProbed::State::kUnknown;  // its items are gone
  }
  switch (answer.state) {
    case CallProbed::State::kDone:
      ended.outcome = CallReturned{std::move(answer.output)};
      return settle_call(call, std::move(ended));
    case CallProbed::State::kAbsent:
      if (live) {
        std::get<CallFailed>(ended.outcome).doubt = false;
        return settle_call(call, std::move(ended));
      }
      if (call.unwanted) return settle_call(call, {answer.call, CallFailed{cancelled()}, {}});
      if (call.doubt) {
        call.state = OpenCallEffect::State::kAnswered;
        Event event;
        event.at = core->at;
        event.body = CallResumed{answer.call};
        return enqueue(std::move(event), true);
      }
      call.state = OpenCallEffect::State::kHeld;
      // Written down anew: a process that lost the run without noticing must not make the call too.
      call.intent = false;
      return begin(call);
    case CallProbed::State::kUnknown:
      break;
  }
  if (call.doubt) {
    call.state = OpenCallEffect::State::kDoubtful;
    return;
  }
  if (!live) {
    Error why(ErrorCode::kInDoubt, "the process ended while the call was under way");
    ended.outcome = CallFailed{answer.error ? why.with_cause(*answer.error) : why, true};
  }
  settle_call(call, std::move(ended));
}

}  // namespace sluice
