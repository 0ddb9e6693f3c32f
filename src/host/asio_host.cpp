#include "host/asio_host.h"

#include <fmt/format.h>

#include <boost/asio/post.hpp>
#include <chrono>
#include <unordered_map>
#include <utility>

#include "data/json.h"
#include "host/admit.h"
#include "host/open_calls.h"
#include "host/tool_call.h"
#include "plan/duration.h"
#include "plan/lower.h"

namespace sluice {
namespace {

namespace asio = boost::asio;

constexpr std::int64_t kCodeTimeoutMs = 60'000;
constexpr std::uint64_t kCodeMaxBytes = 16ULL << 20;

// The functions that the step offers to its model, by `tools: [db.query, fs]` of its `with`.
Result<std::vector<OfferedTool>> offered_tools(const PlanScope& scope, const Value& args) {
  std::vector<OfferedTool> offered;
  const Value* names = args.find("tools");
  if (names == nullptr || !names->is_array()) return offered;
  for (const Value& item : names->items()) {
    const std::string name(item.is_string() ? item.as_string() : "");
    const std::size_t dot = name.find('.');
    const std::string tool = name.substr(0, dot);
    std::vector<std::string_view> functions = scope.function_names(tool);
    if (dot != std::string::npos) functions = {std::string_view(name).substr(dot + 1)};
    for (std::string_view function : functions) {
      const FunctionSpec* spec = scope.find(tool, function);
      if (spec == nullptr)
        return fail(ErrorCode::kToolUnknown, fmt::format("no tool function {}", name));
      offered.push_back({wire_tool_name(tool, spec->name), tool, spec});
    }
    if (functions.empty()) return fail(ErrorCode::kToolUnknown, fmt::format("no tool {}", name));
  }
  return offered;
}

// Models give arguments as an object, or as its JSON text.
Result<Value> wanted_arguments(const Value& wanted) {
  const Value* arguments = wanted.find("arguments");
  if (arguments == nullptr || arguments->is_null()) return Value::object({});
  if (!arguments->is_string()) return *arguments;
  auto parsed = parse_json(arguments->as_string());
  if (!parsed) {
    return fail(ErrorCode::kArgInvalid,
                fmt::format("the arguments are not JSON: {}", parsed.error().message()));
  }
  return parsed;
}

}  // namespace

struct AsioHost::Impl : std::enable_shared_from_this<Impl> {
  Impl(asio::io_context& context, HostServices given) : io(context), services(std::move(given)) {}

  asio::io_context& io;
  HostServices services;
  EventInbox* inbox = nullptr;
  std::unordered_map<const PhysicalStep*, StepTarget> targets;
  std::vector<PhysicalPlanPtr> plans;  // keeps the keys of `targets` alive
  std::unordered_map<std::uint64_t, std::unique_ptr<asio::steady_timer>> timers;
  HostCalls calls;
  std::unordered_map<const FunctionSpec*, CallGate> gates;

  void add_plan(const PhysicalPlanPtr& plan, const PlanScope& scope) {
    plans.push_back(plan);
    for (const PhysicalStep& step : plan->steps) {
      StepTarget target{.scope = &scope};
      if (step.logical.op == OperatorKind::kTool) {
        target.tool = scope.tool(step.logical.target);
        target.function = scope.find(step.logical.target, step.logical.function);
      } else if (step.logical.op == OperatorKind::kLlm) {
        target.model = scope.model(step.logical.target);
      }
      const bool is_new = targets.insert_or_assign(&step, target).second;
      if (!is_new || step.plan == nullptr) continue;
      const PlanScope* inside = services.resources.scope(step.plan->logical.get());
      add_plan(step.plan, inside == nullptr ? scope : *inside);
    }
  }

  void deliver(Event event) {
    event.at = services.clock.steady_ns();
    inbox->deliver(std::move(event));
  }

  // `work` on the run's thread unless the host is gone by then.
  template <class Work>
  void later(Work work) {
    asio::post(io, [weak = weak_from_this(), work = std::move(work)]() mutable {
      if (auto self = weak.lock()) work(*self);
    });
  }

  void end(const HostCallPtr& call, CallOutcome outcome) {
    if (std::exchange(call->ended, true)) return;
    if (call->timer) call->timer->cancel();
    leave_gate(*call);
    const auto* returned = std::get_if<CallReturned>(&outcome.result);
    if (call->cache_key && returned != nullptr && !returned->cached) {
      services.cache.put(*call->cache_key, returned->output);
    }
    later([call, outcome = std::move(outcome)](Impl& self) mutable {
      self.calls.erase(call->start.call);
      self.deliver({0, CallEnded{call->start.call, std::move(outcome.result), outcome.usage}});
    });
  }
  void end_failed(const HostCallPtr& call, Error error) {
    end(call, CallOutcome::failed(std::move(error)));
  }

  void begin(const StartCall& start) {
    auto call = std::make_shared<HostCall>();
    call->start = start;
    calls[start.call] = call;
    if (auto found = targets.find(start.step); found != targets.end()) call->target = found->second;
    for (Value* value : {&call->start.args, &call->start.transcript, &call->start.wanted}) {
      auto loaded = services.values.load(*value);
      if (!loaded) return end_failed(call, loaded.error());
      *value = std::move(*loaded);
    }
    if (call->target.scope == nullptr) {
      return end_failed(call, Error(ErrorCode::kInternal, "a step of a plan that was never added"));
    }
    if (!start.wanted.is_null()) return begin_wanted(call);
    if (find_in_cache(call)) return;
    switch (start.step->logical.op) {
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

  // True when the output was kept by an earlier run, or this one.
  bool find_in_cache(const HostCallPtr& call) {
    const PhysicalStep& step = *call->start.step;
    const Value* tools = call->start.args.find("tools");
    const bool agent =
        step.logical.op == OperatorKind::kLlm && tools != nullptr && tools->size() > 0;
    if (!step.logical.cache_ttl_ms || call->start.streaming || agent) return false;
    Hasher hasher;
    hasher.field(result_key(step, call->start.args));
    if (const ModelEntry* model = call->target.model) {
      hasher.field(model->identity).field(canonical_json(model->defaults.sampling));
    }
    call->cache_key = hasher.finish();
    auto value = services.cache.find(*call->cache_key, *step.logical.cache_ttl_ms);
    if (!value) return false;
    end(call, {CallReturned{std::move(*value), true}, {}});
    return true;
  }

  void begin_tool(const HostCallPtr& call) {
    const StepTarget& target = call->target;
    const Step& step = call->start.step->logical;
    if (target.tool == nullptr || target.function == nullptr) {
      return end_failed(call,
                        Error(ErrorCode::kToolUnknown,
                              fmt::format("no tool function {}.{}", step.target, step.function)));
    }
    SchemaPtr output = step.output ? step.output : target.function->output;
    send(call, *target.tool->tool, target.tool->id, *target.function, call->start.args, output);
  }

  // A tool that the model of an llm step called: only what the step offers.
  void begin_wanted(const HostCallPtr& call) {
    auto offered = offered_tools(*call->target.scope, call->start.args);
    if (!offered) return end_failed(call, offered.error());
    const Value* given = call->start.wanted.find("name");
    const std::string name(given != nullptr && given->is_string() ? given->as_string() : "");
    for (const OfferedTool& tool : *offered) {
      if (tool.wire_name != name && fmt::format("{}.{}", tool.tool, tool.spec->name) != name)
        continue;
      auto args = wanted_arguments(call->start.wanted);
      if (!args) return end_failed(call, args.error());
      ToolEntry* entry = call->target.scope->tool(tool.tool);
      if (entry == nullptr) break;
      return pass_gate(call, gates[tool.spec], tool.spec->concurrency,
                       [this, call, entry, name = tool.tool, spec = tool.spec, args = *args] {
                         send(call, *entry->tool, name, *spec, args, spec->output);
                       });
    }
    std::string names;
    for (const OfferedTool& tool : *offered) names += (names.empty() ? "" : ", ") + tool.wire_name;
    end_failed(call, Error(ErrorCode::kToolUnknown,
                           fmt::format("there is no tool {}; there are: {}", name, names)));
  }

  // Starts the call, or keeps it until one of the function's places is free.
  void pass_gate(const HostCallPtr& call, CallGate& gate, std::uint32_t places,
                 std::function<void()> start) {
    if (places > 0 && gate.running >= places) {
      gate.waiting.push_back({call, std::move(start)});
      return;
    }
    ++gate.running;
    call->gate = &gate;
    start();
  }

  void leave_gate(HostCall& call) {
    CallGate* gate = std::exchange(call.gate, nullptr);
    if (gate == nullptr) return;
    --gate->running;
    while (!gate->waiting.empty()) {
      CallGate::Waiting next = std::move(gate->waiting.front());
      gate->waiting.pop_front();
      if (next.call->ended) continue;  // cancelled while it waited
      ++gate->running;
      next.call->gate = gate;
      return later([next = std::move(next)](Impl&) {
        if (!next.call->ended) next.start();
      });
    }
  }

  void send(const HostCallPtr& call, Tool& tool, std::string_view name, const FunctionSpec& spec,
            const Value& args, SchemaPtr output) {
    auto request = make_tool_call(call->start, name, spec, args);
    if (!request) return end_failed(call, request.error());
    // Its schema is that of one item, whether the items come one by one or together.
    if (spec.streams) call->item_schema = std::exchange(output, nullptr);
    go(call, tool, std::move(*request), std::move(output), spec.effect);
  }

  void begin_code(const HostCallPtr& call) {
    const Step& step = call->start.step->logical;
    ToolCall request;
    request.function = step.target;
    request.args = call->start.args.is_null() ? Value::object({}) : call->start.args;
    request.task = call->start.task_id;
    request.idempotency_key = call->start.idempotency_key;
    request.timeout_ms = call->start.timeout_ms > 0 ? call->start.timeout_ms : kCodeTimeoutMs;
    request.max_bytes = kCodeMaxBytes;
    request.streaming = call->start.streaming;
    go(call, services.code, std::move(request), step.output, Effect::kPure);
  }

  void go(const HostCallPtr& call, Tool& tool, ToolCall request, SchemaPtr output, Effect effect) {
    const bool streaming = request.streaming;
    ToolCallbacks callbacks;
    callbacks.on_item = [weak = weak_from_this(), call](Value item) {
      auto self = weak.lock();
      return self && self->item(call, std::move(item));
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
  bool item(const HostCallPtr& call, Value value) {
    if (call->ended) return true;
    if (auto misfit = check_output(call->item_schema, value)) {
      later([call](Impl& self) { self.cancel_tool(*call); });
      end_failed(call, *misfit);
      return true;
    }
    if (call->credit > 0) --call->credit;
    deliver({0, ItemEmitted{call->start.call, value.with_labels({.untrusted = true})}});
    call->paused = call->credit == 0;
    return !call->paused;
  }

  void cancel_tool(const HostCall& call) {
    if (call.tool != nullptr) call.tool->cancel(call.tool_call);
  }

  void begin_model(const HostCallPtr& call) {
    ModelEntry* model = call->target.model;
    if (model == nullptr) {
      return end_failed(call, Error(ErrorCode::kModelUnknown,
                                    fmt::format("no model {}", call->start.step->logical.target)));
    }
    if (model->problem) return end_failed(call, *model->problem);
    auto offered = offered_tools(*call->target.scope, call->start.args);
    if (!offered) return end_failed(call, offered.error());
    auto request = make_model_request(call->start, model->defaults, *offered, services.run_id);
    if (!request) return end_failed(call, request.error());
    call->timeout_ms = request->timeout_ms;
    ModelCallbacks callbacks;
    callbacks.on_end = [weak = weak_from_this(), call](Result<ModelReply> reply) {
      auto self = weak.lock();
      if (!self) return;
      self->later([call, reply = std::move(reply)](Impl& host) mutable {
        host.model_ended(call, std::move(reply));
      });
    };
    call->model = model->instance.get();
    call->request = call->model->submit(std::move(*request), std::move(callbacks));
    if (call->timeout_ms > 0) limit_time(call);
  }

  void limit_time(const HostCallPtr& call) {
    call->timer =
        std::make_unique<asio::steady_timer>(io, std::chrono::milliseconds(call->timeout_ms));
    call->timer->async_wait([call](boost::system::error_code cancelled) {
      if (cancelled || call->ended) return;
      call->timed_out = true;
      call->model->cancel(call->request);
    });
  }

  void model_ended(const HostCallPtr& call, Result<ModelReply> reply) {
    if (!reply && call->timed_out) {
      return end_failed(
          call, Error(ErrorCode::kTimeout, fmt::format("the model did not answer within {}",
                                                       format_duration_ms(call->timeout_ms))));
    }
    end(call, model_outcome(call->start, std::move(reply)));
  }
};

AsioHost::AsioHost(asio::io_context& io, HostServices services)
    : impl_(std::make_shared<Impl>(io, std::move(services))) {}

AsioHost::~AsioHost() {
  impl_->timers.clear();
  for (auto& [ref, call] : impl_->calls) call->timer.reset();
}

void AsioHost::set_inbox(EventInbox* inbox) { impl_->inbox = inbox; }

void AsioHost::add_plan(const PhysicalPlanPtr& plan, const PlanScope& scope) {
  impl_->add_plan(plan, scope);
}

SteadyNs AsioHost::now() { return impl_->services.clock.steady_ns(); }

void AsioHost::post(std::function<void()> work) {
  impl_->later([work = std::move(work)](Impl&) { work(); });
}

void AsioHost::set_timer(std::uint64_t timer, std::int64_t delay_ns) {
  auto made = std::make_unique<asio::steady_timer>(impl_->io, std::chrono::nanoseconds(delay_ns));
  made->async_wait([weak = impl_->weak_from_this(), timer](boost::system::error_code cancelled) {
    auto self = weak.lock();
    // A timer may be cleared after its wait ended but before this ran.
    if (cancelled || !self || self->timers.erase(timer) == 0) return;
    self->deliver({0, TimerFired{timer}});
  });
  impl_->timers[timer] = std::move(made);
}

void AsioHost::clear_timer(std::uint64_t timer) { impl_->timers.erase(timer); }

void AsioHost::perform(const StartCall& start) { impl_->begin(start); }

void AsioHost::cancel(const CallRef& ref) {
  auto found = impl_->calls.find(ref);
  if (found == impl_->calls.end() || found->second->ended) return;
  HostCall& call = *found->second;
  if (call.model == nullptr && call.tool == nullptr) {
    return impl_->end_failed(found->second,
                             Error(ErrorCode::kCancelled, "cancelled before it could start"));
  }
  if (call.model != nullptr) call.model->cancel(call.request);
  impl_->cancel_tool(call);
}

void AsioHost::resume(const CallRef& ref) {
  auto found = impl_->calls.find(ref);
  if (found == impl_->calls.end()) return;
  HostCall& call = *found->second;
  call.credit += kStreamCredit;
  if (std::exchange(call.paused, false) && call.tool != nullptr) call.tool->resume(call.tool_call);
}

void AsioHost::admit(const AdmitPlan& admit) {
  impl_->later([admit](Impl& self) {
    auto refuse = [&](Error error) {
      self.deliver({0, PlanRefused{admit.task, std::move(error)}});
    };
    auto target = self.targets.find(admit.step);
    if (target == self.targets.end()) {
      return refuse(Error(ErrorCode::kInternal, "a step of a plan that was never added"));
    }
    AdmitPlan loaded = admit;
    for (Value* value : {&loaded.plan, &loaded.args}) {
      auto whole = self.services.values.load(*value);
      if (!whole) return refuse(whole.error());
      *value = std::move(*whole);
    }
    auto admitted = admit_plan(loaded, *target->second.scope, self.services.resources);
    if (!admitted) return refuse(admitted.error());
    self.add_plan(admitted->plan, *admitted->scope);
    self.deliver({0, PlanAdmitted{admit.task, admitted->plan}});
  });
}

}  // namespace sluice
