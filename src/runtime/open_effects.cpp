#include "runtime/open_effects.h"

#include <algorithm>
#include <utility>

#include "base/overloaded.h"
#include "data/value_codec.h"
#include "runtime/digest.h"
#include "runtime/wire.h"

namespace sluice {
namespace {

// 2: a produced plan is named by the frame that it runs in, too.
constexpr std::uint8_t kFormat = 2;

}  // namespace

std::uint64_t chain_item(std::uint64_t chain, const Value& item) {
  return mix_bytes(chain, encode_value(item));
}

OpenCallEffect* OpenEffects::decided(RunEffect&& effect, SteadyNs at) {
  OpenCallEffect* begun = nullptr;
  if (!std::holds_alternative<EndRun>(effect.body)) end.reset();
  std::visit(
      Overloaded{
          [&](StartCall& body) {
            OpenCallEffect& call = calls_[body.call];
            call.start = std::move(body);
            call.order = next_order_++;
            begun = &call;
            if (resumed_.empty()) return;
            auto before = resumed_.find(call.start.call);
            if (before == resumed_.end()) return;
            call.items = before->second.items;
            call.items_chain = before->second.items_chain;
            call.credits = before->second.credits;
            resumed_.erase(before);
          },
          [&](const CancelCall& body) {
            if (OpenCallEffect* call = find(body.call)) call->unwanted = true;
          },
          [&](const ResumeCall& body) {
            if (OpenCallEffect* call = find(body.call)) ++call->credits;
          },
          [&](AdmitPlan& body) { admits_.insert_or_assign(body.task, std::move(body)); },
          [&](BeginWait& body) { waits_.insert_or_assign(body.call, std::move(body)); },
          [&](const SetTimer& body) { timers_.insert_or_assign(body.timer, OpenTimer{body, at}); },
          [&](const ClearTimer& body) { timers_.erase(body.timer); },
          [&](EndRun& body) { end = std::move(body.outcome); },
      },
      effect.body);
  return begun;
}

bool OpenEffects::expects(const Event& event) const {
  auto doubt_of = [&](const CallRef& ref) -> std::optional<bool> {
    auto found = calls_.find(ref);
    if (found == calls_.end()) return std::nullopt;
    return found->second.doubt;
  };
  return std::visit(
      Overloaded{
          [&](const CallEnded& body) {
            auto doubt = doubt_of(body.call);
            if (!doubt) return false;
            const auto* failed = std::get_if<CallFailed>(&body.outcome);
            return !(*doubt && failed != nullptr && failed->doubt);
          },
          [&](const CallResumed& body) { return doubt_of(body.call).value_or(false); },
          [&](const ItemEmitted& body) { return doubt_of(body.call).has_value(); },
          [&](const PlanAdmitted& body) { return admits_.contains(body.task); },
          [&](const PlanRefused& body) { return admits_.contains(body.task); },
          [&](const TimerFired& body) { return timers_.contains(body.timer); },
          [&](const WaitBegan& body) { return waits_.contains(body.call); },
          [](const auto&) { return true; },
      },
      event.body);
}

void OpenEffects::happened(const Event& event) {
  std::visit(Overloaded{
                 [&](const CallEnded& body) {
                   end.reset();
                   const auto* failed = std::get_if<CallFailed>(&body.outcome);
                   if (failed == nullptr || !failed->doubt) {
                     calls_.erase(body.call);
                   } else if (OpenCallEffect* call = find(body.call)) {
                     call->doubt = true;
                     call->state = OpenCallEffect::State::kDoubtful;
                   }
                 },
                 [&](const CallResumed& body) {
                   end.reset();
                   // The machine starts it anew, when its turn comes.
                   OpenCallEffect* call = find(body.call);
                   if (call != nullptr && call->start.streaming) {
                     resumed_[body.call] = {call->items, call->items_chain, call->credits};
                   }
                   calls_.erase(body.call);
                 },
                 [&](const ItemEmitted& body) {
                   if (OpenCallEffect* call = find(body.call)) {
                     ++call->items;
                     call->items_chain = chain_item(call->items_chain, body.item);
                   }
                 },
                 [&](const PlanAdmitted& body) {
                   auto admit = admits_.extract(body.task);
                   if (!admit) return;
                   const AdmissionRef admission{body.task, admit.mapped().frame};
                   admitted_.insert_or_assign(admission, std::move(admit.mapped()));
                 },
                 [&](const PlanRefused& body) { admits_.erase(body.task); },
                 [&](const TimerFired& body) { timers_.erase(body.timer); },
                 [&](const WaitBegan& body) { waits_.erase(body.call); },
                 [](const auto&) {},
             },
             event.body);
}

void OpenEffects::intended(const IntentRecord& intent) {
  if (OpenCallEffect* call = find(intent.call)) call->intent = !intent.withdrawn;
}

OpenCallEffect* OpenEffects::find(const CallRef& call) {
  auto found = calls_.find(call);
  return found == calls_.end() ? nullptr : &found->second;
}

const AdmitPlan* OpenEffects::find_admitted(const AdmissionRef& admission) const {
  auto found = admitted_.find(admission);
  if (found == admitted_.end()) found = admitted_.find({admission.task, 0});
  return found == admitted_.end() ? nullptr : &found->second;
}

void OpenEffects::keep_admitted(const std::set<AdmissionRef>& wanted) {
  std::set<const AdmitPlan*> kept;
  for (const AdmissionRef& admission : wanted) kept.insert(find_admitted(admission));
  std::erase_if(admitted_, [&](const auto& one) { return !kept.contains(&one.second); });
  admitted_kept_ = admitted_.size();
}

std::vector<OpenCallEffect*> OpenEffects::calls() {
  std::vector<OpenCallEffect*> all;
  all.reserve(calls_.size());
  for (auto& [ref, call] : calls_) all.push_back(&call);
  std::ranges::sort(all, {}, &OpenCallEffect::order);
  return all;
}

std::size_t OpenEffects::in_hands() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(calls_, [](const auto& call) { return call.second.in_hands(); }));
}

// ---- bytes ----

namespace {

void put_texts(WireWriter& out, const std::vector<std::string>& texts) {
  out.number(texts.size());
  for (const std::string& text : texts) out.text(text);
}

std::vector<std::string> take_texts(WireReader& in) {
  std::vector<std::string> texts;
  const std::size_t count = in.count();
  for (std::size_t i = 0; i < count && !in.bad(); ++i) texts.emplace_back(in.text());
  return texts;
}

void put_bound(WireWriter& out, const std::optional<std::int64_t>& bound) {
  out.flag(bound.has_value());
  if (bound) out.whole(*bound);
}
void put_bound(WireWriter& out, const std::optional<double>& bound) {
  out.flag(bound.has_value());
  if (bound) out.real(*bound);
}

void put_limits(WireWriter& out, const Limits& limits) {
  put_texts(out, limits.operators);
  put_texts(out, limits.tools);
  put_texts(out, limits.models);
  out.number(limits.steps);
  out.number(limits.tasks);
  out.number(limits.depth);
  put_bound(out, limits.budget.tokens);
  put_bound(out, limits.budget.calls);
  put_bound(out, limits.budget.seconds);
  put_bound(out, limits.budget.usd);
}

Limits take_limits(WireReader& in) {
  Limits limits;
  limits.operators = take_texts(in);
  limits.tools = take_texts(in);
  limits.models = take_texts(in);
  limits.steps = in.number();
  limits.tasks = in.number();
  limits.depth = in.number32();
  if (in.flag()) limits.budget.tokens = in.whole();
  if (in.flag()) limits.budget.calls = in.whole();
  if (in.flag()) limits.budget.seconds = in.real();
  if (in.flag()) limits.budget.usd = in.real();
  return limits;
}

void put_admit(WireWriter& out, const AdmitPlan& admit) {
  out.task(admit.task);
  out.fixed64(admit.frame);
  out.value(admit.plan);
  out.value(admit.args);
  put_limits(out, admit.limits);
}

AdmitPlan take_admit(WireReader& in, std::uint8_t format) {
  AdmitPlan admit;
  admit.task = in.task();
  if (format > 1) admit.frame = in.fixed64();
  admit.plan = in.value();
  admit.args = in.value();
  admit.limits = take_limits(in);
  return admit;
}

bool known_format(std::uint8_t format) { return format >= 1 && format <= kFormat; }

std::unexpected<Error> damaged() {
  return fail(ErrorCode::kJournalDamaged, "the open effects of a snapshot are damaged");
}

enum CallFlag : std::uint8_t {
  kIntent = 1,
  kDoubt = 2,
  kUnwanted = 4,
  kStreaming = 8,
  kUndo = 16,
};

}  // namespace

void OpenEffects::put_call(WireWriter& out, const OpenCallEffect& call) const {
  const StartCall& start = call.start;
  out.call(start.call);
  out.byte(static_cast<std::uint8_t>(
      (call.intent ? kIntent : 0) | (call.doubt ? kDoubt : 0) | (call.unwanted ? kUnwanted : 0) |
      (start.streaming ? kStreaming : 0) | (start.undo ? kUndo : 0)));
  out.value(start.args);
  out.value(start.transcript);
  out.value(start.wanted);
  out.value(start.undone);
  out.text(start.task_id);
  out.text(start.idempotency_key);
  out.whole(start.timeout_ms);
  out.number(call.items);
  out.fixed64(call.items_chain);
  out.number(call.credits);
}

std::optional<OpenCallEffect> OpenEffects::take_call(WireReader& in, const RunState& state) const {
  OpenCallEffect call;
  StartCall& start = call.start;
  start.call = in.call();
  const std::uint8_t flags = in.byte();
  call.intent = (flags & kIntent) != 0;
  call.doubt = (flags & kDoubt) != 0;
  call.unwanted = (flags & kUnwanted) != 0;
  start.streaming = (flags & kStreaming) != 0;
  start.undo = (flags & kUndo) != 0;
  start.args = in.value();
  start.transcript = in.value();
  start.wanted = in.value();
  start.undone = in.value();
  start.task_id = in.text();
  start.idempotency_key = in.text();
  start.timeout_ms = in.whole();
  call.items = in.number();
  call.items_chain = in.fixed64();
  call.credits = in.number();
  start.step = state.find_step(start.call.task);
  if (call.doubt) call.state = OpenCallEffect::State::kDoubtful;
  if (in.bad() || start.step == nullptr) return std::nullopt;
  return call;
}

std::string OpenEffects::encode(const RunState& state, std::vector<Value>* resting) const {
  WireWriter out;
  out.collect(resting);
  out.byte(kFormat);
  std::vector<const OpenCallEffect*> ordered;
  for (const auto& [ref, call] : calls_) {
    // Of a frame that has gone: nothing is asked of it any more.
    if (state.find_step(ref.task) != nullptr) ordered.push_back(&call);
  }
  std::ranges::sort(ordered, {}, &OpenCallEffect::order);
  out.number(ordered.size());
  for (const OpenCallEffect* call : ordered) put_call(out, *call);
  out.number(admits_.size());
  for (const auto& [task, admit] : admits_) put_admit(out, admit);
  out.number(waits_.size());
  for (const auto& [ref, wait] : waits_) {
    out.call(ref);
    out.text(wait.task_id);
    out.value(wait.spec);
  }
  std::map<std::uint64_t, const OpenTimer*> timers;
  for (const auto& [id, timer] : timers_) timers.emplace(id, &timer);
  out.number(timers.size());
  for (const auto& [id, timer] : timers) {
    out.fixed64(id);
    out.whole(timer->set_at);
    out.whole(timer->timer.delay_ns);
    out.whole(timer->timer.until_wall_ns);
  }
  out.number(resumed_.size());
  for (const auto& [ref, progress] : resumed_) {
    out.call(ref);
    out.number(progress.items);
    out.fixed64(progress.items_chain);
    out.number(progress.credits);
  }
  out.flag(end.has_value());
  if (end) out.byte(static_cast<std::uint8_t>(end->status));
  return out.take();
}

Result<void> OpenEffects::decode(std::string_view bytes, const RunState& state) {
  WireReader in(bytes);
  const std::uint8_t format = in.byte();
  if (!known_format(format)) return damaged();
  for (std::size_t left = in.count(); left > 0 && !in.bad(); --left) {
    auto call = take_call(in, state);
    if (!call) return damaged();
    call->order = next_order_++;
    calls_.insert_or_assign(call->start.call, std::move(*call));
  }
  for (std::size_t left = in.count(); left > 0 && !in.bad(); --left) {
    AdmitPlan admit = take_admit(in, format);
    // Null when its task has gone: nobody wants the plan any more, but the answer is waited for.
    admit.step = state.find_step(admit.task);
    admits_.insert_or_assign(admit.task, std::move(admit));
  }
  for (std::size_t left = in.count(); left > 0 && !in.bad(); --left) {
    BeginWait wait;
    wait.call = in.call();
    wait.task_id = in.text();
    wait.spec = in.value();
    wait.step = state.find_step(wait.call.task);
    if (wait.step != nullptr) waits_.insert_or_assign(wait.call, std::move(wait));
  }
  for (std::size_t left = in.count(); left > 0 && !in.bad(); --left) {
    OpenTimer timer;
    timer.timer.timer = in.fixed64();
    timer.set_at = in.whole();
    timer.timer.delay_ns = in.whole();
    timer.timer.until_wall_ns = in.whole();
    timers_.insert_or_assign(timer.timer.timer, timer);
  }
  for (std::size_t left = in.count(); left > 0 && !in.bad(); --left) {
    const CallRef ref = in.call();
    resumed_[ref] = {in.number(), in.fixed64(), in.number()};
  }
  if (in.flag()) {
    const std::uint8_t status = in.byte();
    if (status > static_cast<std::uint8_t>(RunStatus::kBudgetSpent)) return damaged();
    end = state.outcome(static_cast<RunStatus>(status));
  }
  if (!in.good_end()) return damaged();
  return {};
}

std::string OpenEffects::encode_admitted(const RunState& state, std::vector<Value>* resting) const {
  WireWriter out;
  out.collect(resting);
  std::vector<AdmitPlan> kept;
  for (const AdmissionRef& admission : state.admissions()) {
    const AdmitPlan* found = find_admitted(admission);
    if (found == nullptr) continue;
    kept.push_back(*found);
    kept.back().frame = admission.frame;
  }
  out.number(kept.size());
  for (const AdmitPlan& admit : kept) put_admit(out, admit);
  return out.take();
}

Result<void> OpenEffects::decode_admitted(std::string_view bytes, std::string_view effects) {
  const std::uint8_t format = WireReader(effects).byte();
  if (!known_format(format)) return damaged();
  WireReader in(bytes);
  for (std::size_t left = in.count(); left > 0 && !in.bad(); --left) {
    AdmitPlan admit = take_admit(in, format);
    const AdmissionRef admission{admit.task, admit.frame};
    admitted_.insert_or_assign(admission, std::move(admit));
  }
  if (!in.good_end()) return damaged();
  return {};
}

}  // namespace sluice
