#include "tests/laws/law_host.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "plan/lower.h"
#include "plan/parse.h"
#include "plan/physical_codec.h"
#include "plan/wait_time.h"
#include "simulate/sim_tools.h"
#include "tests/laws/law_tools.h"

namespace sluice::laws {

bool LawHost::step() {
  if (!posts_.empty()) {
    auto work = std::move(posts_.front());
    posts_.pop_front();
    work();
    return true;
  }
  if (due_.empty()) return false;
  auto next = due_.begin();
  now_ = std::max(now_, next->first);
  auto work = std::move(next->second);
  due_.erase(next);
  work();
  return true;
}

void LawHost::later(std::int64_t delay_ns, std::function<void()> work) {
  due_.emplace(now_ + delay_ns, std::move(work));
}

// Chance by task, so that another plan's calls do not change it.
std::int64_t LawHost::takes_ns(const StartCall& start) const {
  return static_cast<std::int64_t>(text_number(start.task_id, order_) % 20 + 1) * kNsPerMs;
}

void LawHost::set_timer(const SetTimer& timer) {
  const std::uint64_t setting = ++settings_;
  timers_[timer.timer] = setting;
  const std::int64_t delay_ns = timer.until_wall_ns == 0
                                    ? timer.delay_ns
                                    : std::max<std::int64_t>(0, timer.until_wall_ns - wall_now());
  later(delay_ns, [this, id = timer.timer, setting] {
    auto found = timers_.find(id);
    if (found == timers_.end() || found->second != setting) return;
    timers_.erase(found);
    inbox_->deliver({now_, TimerFired{id}});
  });
}

void LawHost::perform(const StartCall& start) {
  open_.insert(start.call);
  if (!leave_to_equal(start)) make(start);
}

// As CallRunner of a live run does it.
bool LawHost::leave_to_equal(const StartCall& start) {
  if (!start.step->advice.share_equal || start.streaming) return false;
  const Hash256 key = Hasher()
                          .field(result_key(*start.step, start.args))
                          .field(static_cast<std::uint64_t>(start.timeout_ms))
                          .finish();
  SharedCalls::Answer answer = shared_.ask(key, [this, start](const SharedCalls::Told& told) {
    if (!open_.contains(start.call)) return false;
    if (told.output != nullptr) {
      ++record_.shared;
      sharing_.erase(start.call);
      later(0, [this, ref = start.call, output = *told.output] {
        end(ref, CallReturned{output, true});
      });
      return true;
    }
    sharing_[start.call].turn = told.turn;
    later(0, [this, start] {
      if (open_.contains(start.call)) make(start);
    });
    return true;
  });
  if (answer.output) {
    ++record_.shared;
    later(0, [this, ref = start.call, output = *answer.output] {
      end(ref, CallReturned{output, true});
    });
    return true;
  }
  sharing_[start.call] = {key, answer.turn};
  return answer.waits;
}

void LawHost::tell_equals(const CallRef& call, const Outcome& outcome) {
  auto found = sharing_.find(call);
  if (found == sharing_.end()) return;
  const Shared shared = found->second;
  sharing_.erase(found);
  if (const auto* returned = std::get_if<CallReturned>(&outcome)) {
    return shared_.succeeded(shared.key, returned->output);
  }
  const auto* failed = std::get_if<CallFailed>(&outcome);
  const bool cancelled = failed != nullptr && failed->error.code() == ErrorCode::kCancelled;
  shared_.failed(shared.key, shared.turn, cancelled);
}

void LawHost::make(const StartCall& start) {
  LawCall call;
  call.task = start.task_id;
  call.what = what_is_called(start);
  call.effect = start.step->effect;
  call.args = start.args;
  call.key = start.idempotency_key;
  call.began = tick();
  const std::size_t record = record_.calls.size();
  record_.calls.push_back(std::move(call));
  Result<Value> answer = answer_of(start);
  if (start.streaming && answer) {
    Stream stream{.start = start, .items = {}, .given = 0};
    stream.items.assign(answer->items().begin(), answer->items().end());
    stream.record = record;
    streams_[start.call] = std::move(stream);
    return later(takes_ns(start), [this, ref = start.call] { go_on(ref); });
  }
  later(takes_ns(start), [this, ref = start.call, record, answer = std::move(answer)] {
    LawCall& call = record_.calls[record];
    call.ended = tick();
    record_.unlucky.erase(call.task);
    if (!answer && answer.error().retryable()) record_.unlucky.insert(call.task);
    if (answer) return end(ref, CallReturned{*answer});
    end(ref, CallFailed{answer.error(), false});
  });
}

void LawHost::end(const CallRef& call, Outcome outcome) {
  if (open_.erase(call) == 0) return;
  tell_equals(call, outcome);
  inbox_->deliver({now_, CallEnded{call, std::move(outcome), {}}});
}

void LawHost::go_on(const CallRef& call) {
  auto found = streams_.find(call);
  if (found == streams_.end()) return;
  Stream& stream = found->second;
  if (stream.given == stream.items.size()) {
    record_.calls[stream.record].ended = tick();
    streams_.erase(found);
    return end(call, CallReturned{Value()});
  }
  if (stream.credit == 0) return;
  --stream.credit;
  const Value item = stream.items[stream.given++];
  later(kNsPerMs, [this, call] { go_on(call); });
  inbox_->deliver({now_, ItemEmitted{call, item}});
}

void LawHost::resume(const CallRef& call) {
  auto found = streams_.find(call);
  if (found == streams_.end()) return;
  const bool paused = found->second.credit == 0;
  found->second.credit += kStreamCredit;
  if (paused) later(0, [this, call] { go_on(call); });
}

void LawHost::cancel(const CallRef& call) {
  streams_.erase(call);
  later(0, [this, call] { end(call, CallFailed{Error(ErrorCode::kCancelled, "cut"), false}); });
}

void LawHost::admit(const AdmitPlan& admit) {
  ParsedPlan parsed = parse_plan_value(admit.plan, "produced");
  Result<PhysicalPlanPtr> plan = fail(ErrorCode::kPlanRejected, "it cannot be read");
  if (parsed.plan && !parsed.diagnostics.has_errors()) {
    // The tools of the plan around it; what its limits allow is not what these laws are about.
    auto made = optimize_plan({.plan = parsed.plan,
                               .tools = tools_,
                               .params = &admit.args,
                               .cost = {},
                               .settings = produced_});
    if (made) {
      plan = made->physical;
    } else {
      plan = std::unexpected(made.error());
    }
  }
  later(kNsPerMs, [this, task = admit.task, plan = std::move(plan)] {
    if (plan) return inbox_->deliver({now_, PlanAdmitted{task, *plan}});
    inbox_->deliver({now_, PlanRefused{task, plan.error()}});
  });
}

// {for, value}: no signals.
void LawHost::begin_wait(const BeginWait& wait) {
  WaitBegan began;
  began.call = wait.call;
  began.has_value = true;
  if (const Value* value = wait.spec.find("value")) began.value = *value;
  if (const Value* time = wait.spec.find("for")) {
    Result<std::int64_t> ms = parse_wait_for(*time);
    if (ms) {
      began.until_wall_ns = wall_now() + *ms * kNsPerMs;
    } else {
      began.error = ms.error();
    }
  }
  later(0, [this, began = std::move(began)] { inbox_->deliver({now_, began}); });
}

Effect LawHost::effect_of(const StartCall& start) { return start.step->effect; }

Result<PhysicalPlanPtr> LawHost::adopt(const AdmitPlan&, const Value&) {
  return fail(ErrorCode::kInternal, "nothing is resumed here");
}

}  // namespace sluice::laws
