#include "simulate/sim_host.h"

#include <fmt/format.h>

#include <utility>

#include "data/json.h"

namespace sluice {
namespace {

constexpr std::int64_t kDefaultTimeoutMs = 2000;
constexpr std::string_view kUndoSuffix = "/undo";

std::int64_t some_ms(std::uint64_t number, std::uint64_t most) {
  return static_cast<std::int64_t>(number % most + 1) * kNsPerMs;
}

bool samples(const Value& args) {
  const Value* temperature = args.find("temperature");
  return temperature != nullptr && temperature->is_number() && temperature->as_double() > 0;
}

}  // namespace

void SimSurroundings::tell(EventQueue::Owner process, std::string_view what) const {
  if (story == nullptr) return;
  *story += fmt::format("{:12.3f} ms  {:>2}  {}\n", static_cast<double>(queue.now()) / kNsPerMs,
                        process, what);
}

SimHost::SimHost(SimSurroundings& world, EventQueue::Owner process, Life& life, SimPlanPtr plan,
                 ValueStore& values)
    : world_(world),
      process_(process),
      life_(life),
      plan_(std::move(plan)),
      values_(values),
      limits_(plan_->physical->concurrency),
      // Each boot's steady clock begins somewhere else.
      steady_offset_(static_cast<SteadyNs>(process) * 1'000 * kNsPerSecond - world.queue.now()) {}

SteadyNs SimHost::now() { return world_.queue.now() + steady_offset_; }
WallNs SimHost::wall_now() { return kSimEpochNs + world_.queue.now() + world_.wall_step_ns; }

void SimHost::post(std::function<void()> work) {
  if (!life_.alive()) return;
  world_.queue.post(process_, std::move(work));
}

void SimHost::later(std::int64_t delay_ns, std::function<void()> work) {
  world_.queue.after(process_, delay_ns, std::move(work));
}

void SimHost::deliver(decltype(Event::body) body) {
  if (!life_.alive() || inbox_ == nullptr) return;
  inbox_->deliver(Event{now(), std::move(body)});
}

// ---- timers ----

void SimHost::set_timer(const SetTimer& timer) {
  if (!life_.chance()) return;
  timers_[timer.timer] = {timer, world_.queue.now() + timer.delay_ns, 0};
  arm(timer.timer);
}

void SimHost::arm(std::uint64_t id) {
  Timer& timer = timers_[id];
  timer.generation = ++generations_;
  const bool wall = timer.set.until_wall_ns != 0;
  const std::int64_t delay =
      wall ? timer.set.until_wall_ns - wall_now() : timer.due - world_.queue.now();
  later(delay, [this, id, generation = timer.generation] {
    auto found = timers_.find(id);
    if (found == timers_.end() || found->second.generation != generation) return;
    if (found->second.set.until_wall_ns > wall_now()) return arm(id);
    timers_.erase(found);
    deliver(TimerFired{id});
  });
}

void SimHost::clear_timer(std::uint64_t timer) { timers_.erase(timer); }

void SimHost::clock_stepped() {
  for (auto& [id, timer] : timers_) {
    if (timer.set.until_wall_ns != 0) arm(id);
  }
}

// ---- calls ----

const SimFunction* sim_function_of(const StartCall& start) {
  std::string_view name;
  if (const Value* wanted = start.wanted.find("name")) {
    name = wanted->as_string();
    if (name.starts_with("t.")) name.remove_prefix(2);
  } else if (start.step->logical.op == OperatorKind::kTool) {
    name = start.step->logical.function;
  }
  return find_sim_function(name);
}

const SimFunction* SimHost::function_of(const StartCall& start) {
  const SimFunction* function = sim_function_of(start);
  if (function != nullptr && start.undo) return find_sim_function(function->undo);
  return function;
}

Effect SimHost::effect_of(const StartCall& start) {
  if (const SimFunction* function = function_of(start)) return function->effect;
  if (start.step->logical.op == OperatorKind::kLlm) {
    return samples(loaded(start.args)) ? Effect::kRead : Effect::kPure;
  }
  return Effect::kPure;
}

bool SimHost::has_probe(const StartCall& start) {
  const SimFunction* function = function_of(start);
  return function != nullptr && function->probe;
}

void SimHost::probe(const StartCall& start) {
  if (!life_.chance()) return;
  const std::uint64_t chance = call_hash(start.call, world_.seed);
  later(some_ms(chance, 30),
        [this, ref = start.call, key = start.idempotency_key, tickets = world_.tools.tickets()] {
          CallProbed probed = world_.tools.probe(key, tickets, process_);
          probed.call = ref;
          world_.tell(process_, fmt::format("a probe says {}", static_cast<int>(probed.state)));
          if (life_.alive() && inbox_ != nullptr) inbox_->probed(std::move(probed));
        });
}

Value SimHost::loaded(const Value& value) {
  Result<Value> whole = values_.load(value);
  if (whole) return *std::move(whole);
  // The dead cannot read, and a damaged store is told elsewhere.
  return Value();
}

void SimHost::perform(const StartCall& start) {
  if (!life_.chance()) return;
  auto call = std::make_shared<Call>();
  call->start = start;
  call->start.args = loaded(start.args);
  call->start.transcript = loaded(start.transcript);
  call->start.wanted = loaded(start.wanted);
  call->start.undone = loaded(start.undone);
  call->function = function_of(start);
  const std::string broken = limits_.begin(start);
  if (!broken.empty()) world_.violated("limit", broken);
  world_.left(call->start, call->function, process_);
  if (world_.story != nullptr) {
    world_.tell(process_, fmt::format("calls {} for {}{}, attempt {}, with {}",
                                      call->function ? call->function->name : "a model or code",
                                      start.task_id, start.undo ? " (undo)" : "",
                                      start.call.attempt, preview(call->start.args)));
  }
  calls_[start.call] = call;
  if (call->function != nullptr) return call_tool(call);
  if (start.step->logical.op == OperatorKind::kLlm) return call_model(call);
  call_code(call);
}

void SimHost::limit_time(const CallPtr& call) {
  const std::int64_t limit_ms =
      call->start.timeout_ms > 0 ? call->start.timeout_ms : kDefaultTimeoutMs;
  later(limit_ms * kNsPerMs, [this, call] {
    if (call->ended) return;
    const bool doubt = call->function != nullptr && call->function->effect == Effect::kOnce;
    end(call, CallFailed{Error(ErrorCode::kTimeout, "no answer in time"), doubt});
  });
}

void SimHost::call_tool(const CallPtr& call) {
  ToolRequest request;
  request.process = process_;
  request.function = call->function;
  request.call = call->start.call;
  request.task = call->start.task_id;
  request.key = call->start.idempotency_key;
  request.args = call->start.args;
  request.undo = call->start.undo;
  if (const Value* arguments = call->start.wanted.find("arguments")) request.args = *arguments;
  if (request.undo) {
    std::string undone = request.key;
    if (undone.ends_with(kUndoSuffix)) undone.resize(undone.size() - kUndoSuffix.size());
    request.args = Value::object({{"key", Value::string(undone)}, {"was", call->start.undone}});
  }
  call->ticket = world_.tools.send(
      std::move(request), [this, call](ToolAnswer answer) { answered(call, std::move(answer)); });
  limit_time(call);
}

void SimHost::answered(const CallPtr& call, ToolAnswer answer) {
  if (!answer) {
    const bool doubt = answer.error().left && call->function->effect == Effect::kOnce;
    return end(call, CallFailed{answer.error().error, doubt});
  }
  if (!call->start.streaming) return end(call, CallReturned{*answer});
  if (call->ended) return;
  call->items.assign(answer->items().begin(), answer->items().end());
  give_items(call);
}

void SimHost::give_items(const CallPtr& call) {
  if (call->ended || call->paused) return;
  if (call->given == call->items.size()) return end(call, CallReturned{Value()});
  const Value item = call->items[call->given++];
  call->paused = --call->credit == 0;
  later(some_ms(call->given * 7, 3), [this, call] { give_items(call); });
  deliver(ItemEmitted{call->start.call, item});
}

void SimHost::resume(const CallRef& ref) {
  if (!life_.chance()) return;
  auto found = calls_.find(ref);
  if (found == calls_.end()) return;
  const CallPtr call = found->second;
  call->credit += kStreamCredit;
  if (!std::exchange(call->paused, false)) return;
  later(kNsPerMs, [this, call] { give_items(call); });
}

void SimHost::cancel(const CallRef& ref) {
  if (!life_.chance()) return;
  auto found = calls_.find(ref);
  if (found == calls_.end() || found->second->ended) return;
  const CallPtr call = found->second;
  const bool turned_back = call->ticket != 0 && world_.tools.stop(call->ticket);
  const bool doubt =
      !turned_back && call->function != nullptr && call->function->effect == Effect::kOnce;
  later(some_ms(call_hash(ref, 5), 4), [this, call, doubt] {
    if (call->ended) return;
    end(call, CallFailed{Error(ErrorCode::kCancelled, "cancelled"), doubt});
  });
}

void SimHost::end(const CallPtr& call, decltype(CallEnded::outcome) outcome, Usage usage) {
  if (!life_.alive()) return;
  if (std::exchange(call->ended, true)) ++world_.late_answers;
  limits_.end(call->start.call);
  if (world_.story != nullptr) {
    const auto* failed = std::get_if<CallFailed>(&outcome);
    world_.tell(process_, fmt::format("{} ends: {}{}", call->start.task_id,
                                      failed ? failed->error.to_string() : "it gave something",
                                      failed && failed->doubt ? " (doubt)" : ""));
  }
  deliver(CallEnded{call->start.call, std::move(outcome), usage});
}

// ---- models and code ----

void SimHost::call_code(const CallPtr& call) {
  later(some_ms(call_hash(call->start.call, 9), 10), [this, call] {
    if (call->ended) return;
    const std::uint64_t number = value_number(call->start.args, 3, 500);
    end(call, CallReturned{Value::integer(static_cast<std::int64_t>(number))});
  });
}

void SimHost::call_model(const CallPtr& call) {
  const StartCall& start = call->start;
  const std::uint64_t chance = call_hash(start.call, world_.seed + process_);
  std::uint64_t salt = 11;
  if (samples(start.args)) salt += world_.seed + ++world_.samples;
  const std::uint64_t number =
      text_number(canonical_json(start.args) + canonical_json(start.transcript), salt);
  const Usage usage{5, 0, 5 + number % 10, 0};
  const bool trouble = static_cast<double>(chance % 1000) < world_.trouble * 500;
  later(some_ms(chance, 60), [this, call, number, usage, trouble] {
    if (call->ended) return;
    if (trouble && !world_.calm) {
      return end(call, CallFailed{Error(ErrorCode::kModelFailed, "the server failed")}, usage);
    }
    const Value* tools = call->start.args.find("tools");
    const Value* turns = call->start.args.find("turns");
    const bool more = turns == nullptr || call->start.call.turn < turns->as_int();
    if (tools == nullptr || !more || number % 3 == 0) {
      return end(call, CallReturned{Value::string(fmt::format("answer {}", number % 1000))}, usage);
    }
    std::vector<Value> wanted;
    for (std::uint64_t i = 0; i < 1 + number / 7 % 2; ++i) {
      const std::uint64_t pick = number / 100 + i;
      wanted.push_back(Value::object(
          {{"id", Value::string(fmt::format("c{}", i))},
           {"name", tools->items()[pick % tools->items().size()]},
           {"arguments",
            Value::object({{"x", Value::integer(static_cast<std::int64_t>(pick % 50))}})}}));
    }
    Value calls = Value::array(std::move(wanted));
    Value message = Value::object({{"role", Value::string("assistant")}, {"tool_calls", calls}});
    end(call, ToolsWanted{std::move(message), std::move(calls)}, usage);
  });
}

}  // namespace sluice
