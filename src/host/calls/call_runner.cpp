#include "host/calls/call_runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <chrono>
#include <utility>

#include "data/json.h"
#include "host/calls/kept_results.h"
#include "host/calls/tool_call.h"
#include "plan/duration.h"
#include "tools/table_query/run_table_query.h"

namespace sluice {
namespace {

namespace asio = boost::asio;

constexpr std::int64_t kCodeTimeoutMs = 60'000;
constexpr std::uint64_t kCodeMaxBytes = 16ULL << 20;
// To find out whether larger inputs are equal to others costs more than it is likely to save.
constexpr std::size_t kMostShared = 256 << 10;
// For how long an answer of a model stands for equal calls of later runs.
constexpr std::int64_t kReuseMs = 30LL * 24 * 3'600'000;
// A smaller table is done sooner than another thread could take it up.
constexpr std::size_t kSmallTable = 256;

// What is asked, beside the step and its inputs: the step knows a tool by its settings alone, and
// one file keeps the results of all plans.
Hash256 with_target(Hasher hasher, const HostCall& call) {
  if (const ModelEntry* model = call.target->model) {
    hasher.field(model->identity).field(canonical_json(model->defaults.sampling));
  } else if (const ToolEntry* tool = call.target->tool) {
    hasher.field(tool->identity);
  }
  return hasher.finish();
}

bool is_greedy(const HostCall& call) {
  const Value* heat = call.start.args.find("temperature");
  if (heat == nullptr || heat->is_null()) {
    heat = call.target->model->defaults.sampling.find("temperature");
  }
  return heat == nullptr || heat->is_null() || (heat->is_number() && heat->as_double() == 0);
}

}  // namespace

CallRunner::CallRunner(asio::io_context& io, const HostServices& services,
                       const CallTargets& targets, Deliver deliver, Probed probed)
    : io_(io),
      services_(services),
      targets_(targets),
      deliver_(std::move(deliver)),
      probed_(std::move(probed)),
      bulk_(std::make_shared<BulkCalls>(BulkCalls::Ways{
          .later =
              [this](std::function<void()> work) {
                later([work = std::move(work)](CallRunner&) { work(); });
              },
          .end = [this](const HostCallPtr& call,
                        CallOutcome outcome) { end(call, std::move(outcome)); }})) {}

CallRunner::~CallRunner() {
  for (auto& [ref, call] : calls_) {
    call->timer.reset();
    call->hedge_timer.reset();
    if (call->stop_table) call->stop_table->store(true);
  }
}

Result<void> CallRunner::load(StartCall& start) const {
  for (Value* value : {&start.args, &start.transcript, &start.wanted, &start.undone}) {
    auto loaded = services_.values.load(*value);
    if (!loaded) return std::unexpected(loaded.error());
    *value = std::move(*loaded);
  }
  return {};
}

void CallRunner::begin(const StartCall& start) {
  auto call = std::make_shared<HostCall>();
  call->start = start;
  calls_[start.call] = call;
  if (holding_) {
    held_.push_back(call);
  } else {
    dispatch(call);
  }
}

void CallRunner::release() {
  holding_ = false;
  for (const HostCallPtr& call : std::exchange(held_, {})) {
    if (!call->ended) dispatch(call);
  }
}

void CallRunner::dispatch(const HostCallPtr& call) {
  call->target = targets_.find(call->start.step);
  if (auto loaded = load(call->start); !loaded) return end_failed(call, loaded.error());
  if (call->target == nullptr) {
    return end_failed(call, Error(ErrorCode::kInternal, "a step of a plan that was never added"));
  }
  if (call->start.undo) return begin_undo(call);
  if (!call->start.wanted.is_null()) return begin_wanted(call);
  if (leave_to_equal(call) || find_kept(call)) return;
  make(call);
}

void CallRunner::make(const HostCallPtr& call) {
  switch (call->start.step->logical.op) {
    case OperatorKind::kTool:
      return begin_tool(call);
    case OperatorKind::kLlm:
      return begin_model(call);
    case OperatorKind::kCode:
      return begin_code(call);
    case OperatorKind::kTable:
      return begin_table(call);
    default:
      return end_failed(call, Error(ErrorCode::kInternal, "a step that calls nothing"));
  }
}

void CallRunner::end(const HostCallPtr& call, CallOutcome outcome) {
  if (std::exchange(call->ended, true)) return;
  if (call->timer) call->timer->cancel();
  if (call->hedge_timer) call->hedge_timer->cancel();
  // What goes into the run's state goes into its journal: words of others may hold our keys.
  if (auto* failed = std::get_if<CallFailed>(&outcome.result)) {
    failed->error = services_.resources.redactor().clean(failed->error);
  }
  leave_gate(*call);
  if (call->cache_key) {
    const Value* output = to_keep(outcome.result);
    if (output != nullptr) services_.cache.put(*call->cache_key, *output, call->cache_ttl_ms);
  }
  auto* returned = std::get_if<CallReturned>(&outcome.result);
  if (returned != nullptr && !returned->cached && call->hedged) {
    returned->from = CallReturned::From::kHedged;
  }
  tell_equals(*call, outcome);
  later([call, outcome = std::move(outcome)](CallRunner& self) mutable {
    // The same call may have begun anew by now.
    auto found = self.calls_.find(call->start.call);
    if (found != self.calls_.end() && found->second == call) self.calls_.erase(found);
    self.deliver_({0, CallEnded{call->start.call, std::move(outcome.result), outcome.usage}});
  });
}

// Whether answers of earlier runs stand for it. Who runs a server need not honour a seed.
bool CallRunner::reuses(const HostCall& call) {
  const StepAdvice& advice = call.start.step->advice;
  const ModelEntry* model = call.target->model;
  if (!advice.reuse_results || !advice.first_model.empty() || model == nullptr) return false;
  if (call.start.args.labels().secret) return false;
  return runs_here(*model) || is_greedy(call);
}

// True when the output was kept by an earlier run, or this one.
bool CallRunner::find_kept(const HostCallPtr& call) {
  const PhysicalStep& step = *call->start.step;
  bool asks_anew = false;
  if (call->start.streaming || has_tools(*call)) return false;
  if (step.logical.cache_ttl_ms) {
    call->cache_key = with_target(call_meaning(step, call->start.args), *call);
    call->cache_ttl_ms = *step.logical.cache_ttl_ms;
  } else if (reuses(*call)) {
    call->cache_key = with_target(reuse_meaning(step, call->start.args), *call);
    call->cache_ttl_ms = kReuseMs;
    asks_anew = services_.asks_anew;
  } else {
    return false;
  }
  auto found = services_.cache.find(*call->cache_key, call->cache_ttl_ms);
  if (!found || (found->earlier && asks_anew)) return false;
  using From = CallReturned::From;
  const From from = found->earlier ? From::kEarlierRun : From::kEqual;
  end(call, {CallReturned{std::move(found->output), true, from}, {}});
  return true;
}

// True when an equal call of the run stands for it: its result is there, or is waited for. A call
// that may take less time than another is not made to wait for that one.
bool CallRunner::leave_to_equal(const HostCallPtr& call) {
  if (!call->start.step->advice.share_equal || call->start.streaming || has_tools(*call)) {
    return false;
  }
  if (call->start.args.memory_bytes() > kMostShared) return false;
  Hasher meaning = call_meaning(*call->start.step, call->start.args);
  meaning.field(static_cast<std::uint64_t>(call->start.timeout_ms));
  const Hash256 key = with_target(std::move(meaning), *call);
  using From = CallReturned::From;
  SharedCalls::Answer answer =
      shared_.ask(key, [weak = weak_from_this(), call](const SharedCalls::Told& told) {
        auto self = weak.lock();
        if (!self || call->ended) return false;
        if (told.output != nullptr) {
          self->end(call, {CallReturned{*told.output, true, From::kEqual}, {}});
          return true;
        }
        call->shared_turn = told.turn;
        self->later([call](CallRunner& runner) {
          if (!call->ended) runner.make(call);
        });
        return true;
      });
  if (answer.output) {
    end(call, {CallReturned{std::move(*answer.output), true, From::kEqual}, {}});
    return true;
  }
  call->shared_key = key;
  call->shared_turn = answer.turn;
  return answer.waits;
}

// What becomes of a call is news for those that wait for it. Only a real result stands for others.
void CallRunner::tell_equals(HostCall& call, const CallOutcome& outcome) {
  if (!call.shared_key) return;
  const Hash256 key = *std::exchange(call.shared_key, std::nullopt);
  if (const auto* returned = std::get_if<CallReturned>(&outcome.result)) {
    if (stands_for_equals(*returned, call.shared_turn)) shared_.succeeded(key, returned->output);
    return;
  }
  const auto* failed = std::get_if<CallFailed>(&outcome.result);
  const bool cancelled = failed != nullptr && failed->error.code() == ErrorCode::kCancelled;
  shared_.failed(key, call.shared_turn, cancelled);
}

void CallRunner::begin_tool(const HostCallPtr& call) {
  auto target = targets_.tool_of(call->start);
  if (!target) return end_failed(call, target.error());
  const SchemaPtr& stated = call->start.step->logical.output;
  send(call, *target, stated ? stated : target->function->output);
}

// A tool that the model of an llm step called: only what the step offers.
void CallRunner::begin_wanted(const HostCallPtr& call) {
  auto target = targets_.tool_of(call->start);
  if (!target) return end_failed(call, target.error());
  const FunctionSpec* spec = target->function;
  pass_gate(call, gates_[spec], spec->concurrency,
            [this, call, target = *target] { send(call, target, target.function->output); });
}

// What undoes the call. Nothing to call is done at once.
void CallRunner::begin_undo(const HostCallPtr& call) {
  auto target = targets_.undo_of(call->start);
  if (!target) return end_failed(call, target.error());
  if (!*target) return end(call, CallOutcome::returned(Value()));
  call->start.streaming = false;
  send(call, **target, (*target)->function->output);
}

void CallRunner::pass_gate(const HostCallPtr& call, CallGate& gate, std::uint32_t places,
                           std::function<void()> start) {
  if (places > 0 && gate.running >= places) {
    gate.waiting.push_back({call, std::move(start)});
    return;
  }
  ++gate.running;
  call->gate = &gate;
  start();
}

void CallRunner::leave_gate(HostCall& call) {
  CallGate* gate = std::exchange(call.gate, nullptr);
  if (gate == nullptr) return;
  --gate->running;
  while (!gate->waiting.empty()) {
    CallGate::Waiting next = std::move(gate->waiting.front());
    gate->waiting.pop_front();
    if (next.call->ended) continue;  // cancelled while it waited
    ++gate->running;
    next.call->gate = gate;
    return later([next = std::move(next)](CallRunner&) {
      if (!next.call->ended) next.start();
    });
  }
}

void CallRunner::send(const HostCallPtr& call, const ToolTarget& target, SchemaPtr output) {
  const FunctionSpec& spec = *target.function;
  auto request = make_tool_call(call->start, target.name, spec, target.args);
  if (!request) return end_failed(call, request.error());
  // Its schema is that of one item, whether the items come one by one or together.
  if (spec.streams) call->item_schema = std::exchange(output, nullptr);
  if (BulkCalls::may_carry(call->start, spec)) {
    return bulk_->add(call, target, std::move(*request), std::move(output));
  }
  go(call, *target.tool->tool, std::move(*request), std::move(output), spec.effect);
}

void CallRunner::begin_code(const HostCallPtr& call) {
  const Step& step = call->start.step->logical;
  ToolCall request;
  request.function = step.target;
  request.args = call->start.args.is_null() ? Value::object({}) : call->start.args;
  request.task = call->start.task_id;
  request.idempotency_key = call->start.idempotency_key;
  request.timeout_ms = call->start.timeout_ms > 0 ? call->start.timeout_ms : kCodeTimeoutMs;
  request.max_bytes = kCodeMaxBytes;
  request.streaming = call->start.streaming;
  go(call, services_.code, std::move(request), step.output, Effect::kPure);
}

// A large table is worked on by the pool; nothing waits for it but this call.
void CallRunner::begin_table(const HostCallPtr& call) {
  const Step& step = call->start.step->logical;
  if (step.table == nullptr) {
    return end_failed(call, Error(ErrorCode::kInternal, "a table step without its query"));
  }
  call->stop_table = std::make_shared<std::atomic<bool>>(false);
  auto work = [query = step.table, args = call->start.args, stop = call->stop_table] {
    return run_table_query(*query, args, {.stop = *stop});
  };
  if (!services_.blocking || table_rows(call->start.args) <= kSmallTable) {
    return table_ended(call, work());
  }
  call->timeout_ms = call->start.timeout_ms;
  if (call->timeout_ms > 0) {
    call->timer =
        std::make_unique<asio::steady_timer>(io_, std::chrono::milliseconds(call->timeout_ms));
    call->timer->async_wait([call](boost::system::error_code cancelled) {
      if (cancelled || call->ended) return;
      call->timed_out = true;
      call->stop_table->store(true);
    });
  }
  asio::post(services_.blocking, [weak = weak_from_this(), of = std::weak_ptr(call), &io = io_,
                                  work = std::move(work)]() mutable {
    Result<Value> output = work();
    asio::post(io, [weak = std::move(weak), of = std::move(of), output = std::move(output)] {
      auto self = weak.lock();
      auto call = of.lock();
      if (self && call) self->table_ended(call, output);
    });
  });
}

void CallRunner::table_ended(const HostCallPtr& call, Result<Value> output) {
  if (!output && call->timed_out) {
    return end_failed(
        call, Error(ErrorCode::kTimeout, fmt::format("the table took longer than {}",
                                                     format_duration_ms(call->timeout_ms))));
  }
  if (!output) return end_failed(call, output.error());
  if (auto misfit = check_output(call->start.step->logical.output, *output)) {
    return end_failed(call, *misfit);
  }
  end(call, CallOutcome::returned(*std::move(output)));
}

// False: the call pauses until its consumers have room. Who takes the item may end the call, and
// with it whatever holds it: this holds its own.
bool CallRunner::item(const HostCallPtr call, const Value& value) {
  if (call->ended) return true;
  if (auto misfit = check_output(call->item_schema, value)) {
    later([call](CallRunner& self) { self.cancel_attempts(*call); });
    end_failed(call, *misfit);
    return true;
  }
  if (call->credit > 0) --call->credit;
  deliver_({0, ItemEmitted{call->start.call, value.with_labels({.untrusted = true})}});
  call->paused = call->credit == 0;
  return !call->paused;
}

void CallRunner::probe(const StartCall& start) {
  auto unknown = [this, ref = start.call](Error why) {
    later([ref, why = std::move(why)](CallRunner& self) {
      self.probed_({ref, CallProbed::State::kUnknown, Value(), why});
    });
  };
  StartCall loaded = start;
  if (auto done = load(loaded); !done) return unknown(done.error());
  auto target = targets_.probe_of(loaded);
  if (!target) return unknown(target.error());
  if (!*target) return unknown(Error(ErrorCode::kToolUnknown, "its tool has no probe"));
  // A question of its own: the key goes along only where the plan says so.
  StartCall question = loaded;
  question.streaming = false;
  question.timeout_ms = 0;
  question.idempotency_key = start.idempotency_key + "/probe";
  auto request = make_tool_call(question, (*target)->name, *(*target)->function, (*target)->args);
  if (!request) return unknown(request.error());
  SchemaPtr given = start.undo ? nullptr : start.step->logical.output;
  if (start.step->streams) given = nullptr;
  ToolCallbacks callbacks;
  callbacks.on_item = [](const Value&) { return true; };
  callbacks.on_end = [weak = weak_from_this(), ref = start.call,
                      given = std::move(given)](std::expected<ToolReply, ToolFailure> reply) {
    auto self = weak.lock();
    if (!self) return;
    CallProbed answer = probe_answer(ref, given, std::move(reply));
    if (answer.error) answer.error = self->services_.resources.redactor().clean(*answer.error);
    self->later([answer = std::move(answer)](CallRunner& runner) { runner.probed_(answer); });
  };
  (*target)->tool->tool->call(std::move(*request), std::move(callbacks));
}

void CallRunner::cancel(const CallRef& ref) {
  auto found = calls_.find(ref);
  if (found == calls_.end() || found->second->ended) return;
  HostCall& call = *found->second;
  if (call.stop_table) {
    call.stop_table->store(true);
    return end_failed(found->second, Error(ErrorCode::kCancelled, "the table was cancelled"));
  }
  if (call.model == nullptr && call.tool == nullptr) {
    const bool carried = !call.bulk.expired();
    end_failed(found->second,
               Error(ErrorCode::kCancelled, carried ? "cancelled while a bulk call carried it"
                                                    : "cancelled before it could start"));
    return bulk_->left(call);
  }
  cancel_attempts(call);
}

void CallRunner::resume(const CallRef& ref) {
  auto found = calls_.find(ref);
  if (found == calls_.end()) return;
  HostCall& call = *found->second;
  call.credit += kStreamCredit;
  if (std::exchange(call.paused, false) && call.tool != nullptr) call.tool->resume(call.tool_call);
}

}  // namespace sluice
