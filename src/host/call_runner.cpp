#include "host/call_runner.h"

#include <fmt/format.h>

#include <boost/asio/post.hpp>
#include <chrono>
#include <utility>

#include "data/json.h"
#include "host/tool_call.h"
#include "plan/duration.h"
#include "plan/lower.h"

namespace sluice {
namespace {

namespace asio = boost::asio;

constexpr std::int64_t kCodeTimeoutMs = 60'000;
constexpr std::uint64_t kCodeMaxBytes = 16ULL << 20;
// To find out whether larger inputs are equal to others costs more than it is likely to save.
constexpr std::size_t kMostShared = 256 << 10;

double cost_of(const Usage& usage, const ModelPrice& price) {
  return static_cast<double>(usage.prompt_tokens) * price.usd_per_prompt_token +
         static_cast<double>(usage.completion_tokens) * price.usd_per_completion_token;
}

// The meaning of the call with its inputs, on whatever step's account it is made.
Hasher meaning_of(const HostCall& call) {
  Hasher hasher;
  hasher.field(result_key(*call.start.step, call.start.args));
  if (const ModelEntry* model = call.target->model) {
    hasher.field(model->identity).field(canonical_json(model->defaults.sampling));
  }
  return hasher;
}

// A model with tools: its call is one turn of several.
bool has_tools(const HostCall& call) {
  const Value* tools = call.start.args.find("tools");
  return call.start.step->logical.op == OperatorKind::kLlm && tools != nullptr && tools->size() > 0;
}

}  // namespace

CallRunner::CallRunner(asio::io_context& io, const HostServices& services,
                       const CallTargets& targets, Deliver deliver, Probed probed)
    : io_(io),
      services_(services),
      targets_(targets),
      deliver_(std::move(deliver)),
      probed_(std::move(probed)) {}

CallRunner::~CallRunner() {
  for (auto& [ref, call] : calls_) call->timer.reset();
}

template <class Work>
void CallRunner::later(Work work) {
  asio::post(io_, [weak = weak_from_this(), work = std::move(work)]() mutable {
    if (auto self = weak.lock()) work(*self);
  });
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
  if (find_in_cache(call) || leave_to_equal(call)) return;
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
    default:
      return end_failed(call, Error(ErrorCode::kInternal, "a step that calls nothing"));
  }
}

void CallRunner::end(const HostCallPtr& call, CallOutcome outcome) {
  if (std::exchange(call->ended, true)) return;
  if (call->timer) call->timer->cancel();
  // What goes into the run's state goes into its journal: words of others may hold our keys.
  if (auto* failed = std::get_if<CallFailed>(&outcome.result)) {
    failed->error = services_.resources.redactor().clean(failed->error);
  }
  leave_gate(*call);
  const auto* returned = std::get_if<CallReturned>(&outcome.result);
  if (call->cache_key && returned != nullptr && !returned->cached) {
    services_.cache.put(*call->cache_key, returned->output);
  }
  tell_equals(*call, outcome);
  later([call, outcome = std::move(outcome)](CallRunner& self) mutable {
    // The same call may have begun anew by now.
    auto found = self.calls_.find(call->start.call);
    if (found != self.calls_.end() && found->second == call) self.calls_.erase(found);
    self.deliver_({0, CallEnded{call->start.call, std::move(outcome.result), outcome.usage}});
  });
}

// True when the output was kept by an earlier run, or this one.
bool CallRunner::find_in_cache(const HostCallPtr& call) {
  const PhysicalStep& step = *call->start.step;
  if (!step.logical.cache_ttl_ms || call->start.streaming || has_tools(*call)) return false;
  call->cache_key = meaning_of(*call).finish();
  auto value = services_.cache.find(*call->cache_key, *step.logical.cache_ttl_ms);
  if (!value) return false;
  end(call, {CallReturned{std::move(*value), true}, {}});
  return true;
}

// True when an equal call of the run stands for it: its result is there, or is waited for. A call
// that may take less time than another is not made to wait for that one.
bool CallRunner::leave_to_equal(const HostCallPtr& call) {
  if (!call->start.step->advice.share_equal || call->start.streaming || has_tools(*call)) {
    return false;
  }
  if (call->start.args.memory_bytes() > kMostShared) return false;
  const Hash256 key =
      meaning_of(*call).field(static_cast<std::uint64_t>(call->start.timeout_ms)).finish();
  SharedCalls::Answer answer =
      shared_.ask(key, [weak = weak_from_this(), call](const SharedCalls::Told& told) {
        auto self = weak.lock();
        if (!self || call->ended) return false;
        if (told.output != nullptr) {
          self->end(call, {CallReturned{*told.output, true}, {}});
          return true;
        }
        call->shared_turn = told.turn;
        self->later([call](CallRunner& runner) {
          if (!call->ended) runner.make(call);
        });
        return true;
      });
  if (answer.output) {
    end(call, {CallReturned{std::move(*answer.output), true}, {}});
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
    if (!returned->cached) shared_.succeeded(key, returned->output);
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

void CallRunner::go(const HostCallPtr& call, Tool& tool, ToolCall request, SchemaPtr output,
                    Effect effect) {
  const bool streaming = request.streaming;
  ToolCallbacks callbacks;
  callbacks.on_item = [weak = weak_from_this(), call](Value value) {
    auto self = weak.lock();
    return self && self->item(call, std::move(value));
  };
  callbacks.on_end = [weak = weak_from_this(), call, streaming, effect,
                      output = std::move(output)](std::expected<ToolReply, ToolFailure> reply) {
    auto self = weak.lock();
    if (!self) return;
    if (reply) {
      if (auto misfit = check_items(call->item_schema, reply->output)) {
        return self->end_failed(call, *misfit);
      }
    }
    // The items were the output of a stream.
    const bool has_output = !streaming || (reply && !reply->output.is_null());
    self->end(call, tool_outcome(has_output ? output : nullptr, effect, std::move(reply)));
  };
  call->tool = &tool;
  call->tool_call = tool.call(std::move(request), std::move(callbacks));
}

// False: the call pauses until its consumers have room.
bool CallRunner::item(const HostCallPtr& call, const Value& value) {
  if (call->ended) return true;
  if (auto misfit = check_output(call->item_schema, value)) {
    later([call](CallRunner& self) { self.cancel_tool(*call); });
    end_failed(call, *misfit);
    return true;
  }
  if (call->credit > 0) --call->credit;
  deliver_({0, ItemEmitted{call->start.call, value.with_labels({.untrusted = true})}});
  call->paused = call->credit == 0;
  return !call->paused;
}

void CallRunner::cancel_tool(const HostCall& call) {
  if (call.tool != nullptr) call.tool->cancel(call.tool_call);
}

void CallRunner::begin_model(const HostCallPtr& call) {
  ModelEntry* model = call->target->model;
  if (model == nullptr) {
    return end_failed(call, Error(ErrorCode::kModelUnknown,
                                  fmt::format("no model {}", call->start.step->logical.target)));
  }
  if (model->problem) return end_failed(call, *model->problem);
  auto offered = CallTargets::offered(*call->target->scope, call->start.args);
  if (!offered) return end_failed(call, offered.error());
  auto request = make_model_request(call->start, model->defaults, *offered, services_.run_id);
  if (!request) return end_failed(call, request.error());
  call->timeout_ms = request->timeout_ms;
  // This run's own answers say more than earlier runs'.
  if (auto seen = lengths_.expected(call->start.step->step_hash)) {
    request->hints.expected_tokens = seen;
  }
  ModelCallbacks callbacks;
  callbacks.on_end = [weak = weak_from_this(), call](Result<ModelReply> reply) {
    auto self = weak.lock();
    if (!self) return;
    self->later([call, reply = std::move(reply)](CallRunner& runner) mutable {
      runner.model_ended(call, std::move(reply));
    });
  };
  call->model = model->instance.get();
  call->request = call->model->submit(std::move(*request), std::move(callbacks));
  if (call->timeout_ms > 0) limit_time(call);
}

void CallRunner::limit_time(const HostCallPtr& call) {
  call->timer =
      std::make_unique<asio::steady_timer>(io_, std::chrono::milliseconds(call->timeout_ms));
  call->timer->async_wait([call](boost::system::error_code cancelled) {
    if (cancelled || call->ended) return;
    call->timed_out = true;
    call->model->cancel(call->request);
  });
}

void CallRunner::model_ended(const HostCallPtr& call, Result<ModelReply> reply) {
  if (!reply && call->timed_out) {
    return end_failed(
        call, Error(ErrorCode::kTimeout, fmt::format("the model did not answer within {}",
                                                     format_duration_ms(call->timeout_ms))));
  }
  if (reply) {
    lengths_.record(call->start.step->step_hash, reply->usage.completion_tokens);
    prefetch_next_turn(*call, *reply);
  }
  CallOutcome outcome = model_outcome(call->start, std::move(reply));
  outcome.usage.usd = cost_of(outcome.usage, call->target->model->price);
  end(call, std::move(outcome));
}

// While the tools that the model asked for run, the engine computes what is known of the next turn.
void CallRunner::prefetch_next_turn(const HostCall& call, const ModelReply& reply) const {
  if (!reply.tool_calls.is_array() || reply.tool_calls.size() == 0) return;
  auto offered = CallTargets::offered(*call.target->scope, call.start.args);
  if (!offered) return;
  auto next =
      make_next_turn(call.start, call.target->model->defaults, *offered, services_.run_id, reply);
  if (next) call.model->prefetch(*next);
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
  if (call.model == nullptr && call.tool == nullptr) {
    return end_failed(found->second,
                      Error(ErrorCode::kCancelled, "cancelled before it could start"));
  }
  if (call.model != nullptr) call.model->cancel(call.request);
  cancel_tool(call);
}

void CallRunner::resume(const CallRef& ref) {
  auto found = calls_.find(ref);
  if (found == calls_.end()) return;
  HostCall& call = *found->second;
  call.credit += kStreamCredit;
  if (std::exchange(call.paused, false) && call.tool != nullptr) call.tool->resume(call.tool_call);
}

}  // namespace sluice
