#include "tests/laws/law_host.h"

#include <utility>
#include <variant>

#include "host/calls/bulk_form.h"
#include "host/calls/kept_results.h"
#include "plan/lower.h"
#include "plan/parse.h"
#include "plan/physical_codec.h"
#include "plan/wait_time.h"
#include "simulate/sim_tools.h"
#include "tests/laws/law_tools.h"

namespace sluice::laws {

// Chance by task, so that another plan's calls do not change it.
std::int64_t LawHost::takes_ns(const StartCall& start) const {
  return static_cast<std::int64_t>(text_number(start.task_id, order_) % 20 + 1) * kNsPerMs;
}

void LawHost::set_timer(const SetTimer& timer) {
  time_.set_timer(timer, wall_now(),
                  [this, id = timer.timer] { inbox_->deliver({now(), TimerFired{id}}); });
}

void LawHost::perform(const StartCall& start) {
  open_.insert(start.call);
  if (!leave_to_equal(start) && !find_kept(start)) make(start);
}

// As CallRunner of a live run does it.
bool LawHost::find_kept(const StartCall& start) {
  if (kept_ == nullptr || !start.step->advice.reuse_results || start.streaming) return false;
  if (start.args.labels().secret) return false;
  const Hash256 key = reuse_meaning(*start.step, start.args).finish();
  keeping_[start.call] = key;
  auto found = kept_->find(key);
  if (found == kept_->end()) return false;
  ++record_.reused;
  later(0, [this, ref = start.call, output = found->second] {
    end(ref, CallReturned{output, true, CallReturned::From::kEarlierRun});
  });
  return true;
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
        end(ref, CallReturned{output, true, CallReturned::From::kEqual});
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
      end(ref, CallReturned{output, true, CallReturned::From::kEqual});
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
    if (stands_for_equals(*returned, shared.turn)) shared_.succeeded(shared.key, returned->output);
    return;
  }
  const auto* failed = std::get_if<CallFailed>(&outcome);
  const bool cancelled = failed != nullptr && failed->error.code() == ErrorCode::kCancelled;
  shared_.failed(shared.key, shared.turn, cancelled);
}

void LawHost::make(const StartCall& start) {
  const LawFunction* function = law_function_of(start);
  if (function == nullptr || start.step->advice.bulk < 2 || start.streaming) {
    return make_alone(start);
  }
  const BulkQueue<StartCall>::Limits limits{.most = start.step->advice.bulk, .places = 2};
  if (queue_.add(function, start.step, limits, start, 1)) {
    post([this, function] { look_at_queue(function); });
  }
}

void LawHost::look_at_queue(const LawFunction* function) {
  for (Bulk& bulk : queue_.take(function)) {
    std::erase_if(bulk.members, [&](const StartCall& each) { return !open_.contains(each.call); });
    send(function, std::move(bulk));
  }
}

// Some fail as a whole, whatever is in them.
void LawHost::send(const LawFunction* function, Bulk bulk) {
  if (bulk.members.size() < 2) {
    std::int64_t takes = 0;
    for (const StartCall& start : bulk.members) {
      make_alone(start);
      takes = takes_ns(start);
    }
    return later(takes, [this, function, step = bulk.step] {
      if (queue_.came_back(function, step, true)) look_at_queue(function);
    });
  }
  ++record_.bulks;
  const StartCall& first = bulk.members.front();
  const bool fails = text_number(first.task_id + " bulk", order_) % 4 == 0;
  std::vector<std::size_t> records;
  for (const StartCall& start : bulk.members) {
    // A failed one did nothing that could be seen, unless it has effects.
    if (!fails || function->effect >= Effect::kIdempotent) records.push_back(write_down(start));
  }
  later(takes_ns(first),
        [this, function, fails, records = std::move(records), bulk = std::move(bulk)]() mutable {
          if (fails) return bulk_failed(function, bulk);
          bulk_ended(function, bulk, records);
        });
}

void LawHost::bulk_failed(const LawFunction* function, Bulk& bulk) {
  bool due = false;
  for (StartCall& start : bulk.members) {
    if (!open_.contains(start.call)) continue;
    if (goes_one_by_one()) {
      due |= queue_.add_alone(function, bulk.step, start);
    } else {
      end(start.call, CallFailed{Error(ErrorCode::kToolFailed, "the bulk call failed"), false});
    }
  }
  due |= queue_.came_back(function, bulk.step, false);
  if (due) look_at_queue(function);
}

void LawHost::bulk_ended(const LawFunction* function, const Bulk& bulk,
                         const std::vector<std::size_t>& records) {
  std::vector<Value> answers;
  for (const StartCall& start : bulk.members) {
    Result<Value> answer = answer_of(start);
    if (answer) {
      answers.push_back(Value::object({{"output", *answer}}));
      continue;
    }
    answers.push_back(Value::object(
        {{"error", Value::object({{"message", Value::string(answer.error().message())},
                                  {"retryable", Value::boolean(answer.error().retryable())}})}}));
  }
  const auto items = bulk_items(Value::array(std::move(answers)), bulk.members.size(), 0);
  for (std::size_t i = 0; i < bulk.members.size(); ++i) {
    LawCall& call = record_.calls[records[i]];
    call.ended = tick();
    record_.unlucky.erase(call.task);
    const Result<Value>& item = (*items)[i];
    if (!item && item.error().retryable()) record_.unlucky.insert(call.task);
    if (item) {
      end(bulk.members[i].call, CallReturned{*item});
    } else {
      end(bulk.members[i].call, CallFailed{item.error(), false});
    }
  }
  if (queue_.came_back(function, bulk.step, true)) look_at_queue(function);
}

std::size_t LawHost::write_down(const StartCall& start) {
  LawCall call;
  call.task = start.task_id;
  call.what = what_is_called(start);
  call.effect = start.step->effect;
  call.args = start.args;
  call.key = start.idempotency_key;
  call.began = tick();
  record_.calls.push_back(std::move(call));
  return record_.calls.size() - 1;
}

void LawHost::make_alone(const StartCall& start) {
  const std::size_t record = write_down(start);
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
  // As all that comes from outside.
  if (auto* returned = std::get_if<CallReturned>(&outcome)) {
    returned->output = returned->output.with_labels({.untrusted = true});
  }
  if (auto key = keeping_.find(call); key != keeping_.end()) {
    if (const Value* output = to_keep(outcome)) kept_->insert_or_assign(key->second, *output);
    keeping_.erase(key);
  }
  tell_equals(call, outcome);
  inbox_->deliver({now(), CallEnded{call, std::move(outcome), {}}});
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
  inbox_->deliver({now(), ItemEmitted{call, item.with_labels({.untrusted = true})}});
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
    if (plan) return inbox_->deliver({now(), PlanAdmitted{task, *plan}});
    inbox_->deliver({now(), PlanRefused{task, plan.error()}});
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
  later(0, [this, began = std::move(began)] { inbox_->deliver({now(), began}); });
}

Effect LawHost::effect_of(const StartCall& start) { return start.step->effect; }

Result<PhysicalPlanPtr> LawHost::adopt(const AdmitPlan&, const Value&) {
  return fail(ErrorCode::kInternal, "nothing is resumed here");
}

}  // namespace sluice::laws
