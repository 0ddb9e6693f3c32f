// The attempts of a call of CallRunner: to a tool or a model, with a time limit, and a second one
// beside it where the plan allows that.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "host/calls/call_runner.h"
#include "host/calls/tool_call.h"
#include "host/resources/small_model_first.h"
#include "plan/duration.h"

namespace sluice {
namespace {

namespace asio = boost::asio;

double cost_of(const Usage& usage, const ModelPrice& price) {
  return static_cast<double>(usage.prompt_tokens) * price.usd_per_prompt_token +
         static_cast<double>(usage.completion_tokens) * price.usd_per_completion_token;
}

Usage usage_of(const ModelUsage& used) {
  return {used.prompt_tokens, used.cached_tokens, used.completion_tokens, used.usd};
}

}  // namespace

// A model with tools: its call is one turn of several.
bool CallRunner::has_tools(const HostCall& call) {
  const Value* tools = call.start.args.find("tools");
  return call.start.step->logical.op == OperatorKind::kLlm && tools != nullptr && tools->size() > 0;
}

bool CallRunner::runs_here(const ModelEntry& model) {
  return model.instance != nullptr && model.instance->info().embedded;
}

// Whether a second attempt may be made beside it.
bool CallRunner::may_hedge(const HostCall& call) {
  const StartCall& start = call.start;
  if (!start.step->advice.hedge_after_s || start.step->effect != Effect::kPure) return false;
  if (start.undo || start.streaming || !start.wanted.is_null() || has_tools(call)) return false;
  const ModelEntry* model = call.target->model;
  return model == nullptr || !runs_here(*model);
}

void CallRunner::go(const HostCallPtr& call, Tool& tool, ToolCall request, SchemaPtr output,
                    Effect effect) {
  call->tool = &tool;
  if (may_hedge(*call)) {
    hedge(call, [this, call, request, output, effect, began = services_.clock.steady_ns()] {
      ToolCall again = request;
      if (again.timeout_ms > 0) {
        again.timeout_ms -= (services_.clock.steady_ns() - began) / kNsPerMs;
        again.timeout_ms = std::max<std::int64_t>(again.timeout_ms, 1);
      }
      call->second = start_attempt(call, std::move(again), output, effect);
    });
  }
  call->tool_call = start_attempt(call, std::move(request), std::move(output), effect);
}

CallId CallRunner::start_attempt(const HostCallPtr& call, ToolCall request, SchemaPtr output,
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
        return self->attempt_ended(call, CallOutcome::failed(*misfit));
      }
    }
    // The items were the output of a stream.
    const bool has_output = !streaming || (reply && !reply->output.is_null());
    self->attempt_ended(call,
                        tool_outcome(has_output ? output : nullptr, effect, std::move(reply)));
  };
  return call->tool->call(std::move(request), std::move(callbacks));
}

void CallRunner::hedge(const HostCallPtr& call, std::function<void()> second) {
  hedges_.call_made();
  const auto after_us = static_cast<std::int64_t>(*call->start.step->advice.hedge_after_s * 1e6);
  call->hedge_timer =
      std::make_unique<asio::steady_timer>(io_, std::chrono::microseconds(after_us));
  call->hedge_timer->async_wait([weak = weak_from_this(), call,
                                 second = std::move(second)](boost::system::error_code cancelled) {
    auto self = weak.lock();
    if (cancelled || !self || call->ended || call->stopping || !self->hedges_.take()) return;
    call->hedged = true;
    ++call->attempts;
    second();
  });
}

// The first good answer counts; a failure counts when no other attempt may do better. What all of
// them took is the call's, but for one that is cancelled: nobody tells what that took.
void CallRunner::attempt_ended(const HostCallPtr& call, CallOutcome outcome) {
  if (call->ended) return;
  --call->attempts;
  call->spent += outcome.usage;
  const bool failed = std::holds_alternative<CallFailed>(outcome.result);
  if (failed && call->attempts > 0) return;
  if (call->attempts > 0) {
    later([call](CallRunner& self) { self.cancel_attempts(*call); });
  }
  outcome.usage = call->spent;
  end(call, std::move(outcome));
}

// Ids that have ended are ignored.
void CallRunner::cancel_attempts(HostCall& call) {
  call.stopping = true;
  if (call.hedge_timer) call.hedge_timer->cancel();
  if (call.model != nullptr) call.model->cancel(call.request);
  if (call.tool != nullptr) call.tool->cancel(call.tool_call);
  if (!call.hedged) return;
  if (call.model != nullptr) call.model->cancel(call.second);
  if (call.tool != nullptr) call.tool->cancel(call.second);
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
  call->model = model->instance.get();
  if (may_hedge(*call)) {
    hedge(call, [this, call, request = *request] { call->second = submit_attempt(call, request); });
  }
  call->request = submit_attempt(call, std::move(*request));
  if (call->timeout_ms > 0) limit_time(call);
}

RequestId CallRunner::submit_attempt(const HostCallPtr& call, ModelRequest request) {
  auto lost = std::make_shared<ModelUsage>();
  ModelCallbacks callbacks;
  callbacks.on_end = [weak = weak_from_this(), call, lost](Result<ModelReply> reply) {
    auto self = weak.lock();
    if (!self) return;
    self->later([call, lost, reply = std::move(reply)](CallRunner& runner) mutable {
      runner.model_ended(call, std::move(reply), *lost);
    });
  };
  if (SmallModelFirst* both = call->target->model->both) {
    return both->submit(std::move(request), std::move(callbacks), std::move(lost));
  }
  return call->model->submit(std::move(request), std::move(callbacks));
}

void CallRunner::limit_time(const HostCallPtr& call) {
  call->timer =
      std::make_unique<asio::steady_timer>(io_, std::chrono::milliseconds(call->timeout_ms));
  call->timer->async_wait([weak = weak_from_this(), call](boost::system::error_code cancelled) {
    auto self = weak.lock();
    if (cancelled || !self || call->ended) return;
    call->timed_out = true;
    self->cancel_attempts(*call);
  });
}

void CallRunner::model_ended(const HostCallPtr& call, Result<ModelReply> reply,
                             const ModelUsage& lost) {
  if (call->ended) return;  // another attempt was faster
  call->spent += usage_of(lost);
  if (!reply && call->timed_out) {
    return attempt_ended(
        call, CallOutcome::failed(
                  Error(ErrorCode::kTimeout, fmt::format("the model did not answer within {}",
                                                         format_duration_ms(call->timeout_ms)))));
  }
  if (reply) {
    lengths_.record(call->start.step->step_hash, reply->usage.completion_tokens);
    prefetch_next_turn(*call, *reply);
  }
  CallOutcome outcome = model_outcome(call->start, std::move(reply));
  outcome.usage.usd += cost_of(outcome.usage, call->target->model->price);
  attempt_ended(call, std::move(outcome));
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

}  // namespace sluice
