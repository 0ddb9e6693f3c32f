// The tool calls of an llm step: the model asks for tools, they run side by side, and their results
// go back to the model as the next turn. A tool that fails is told to the model; the task goes on.

#include <fmt/format.h>

#include "runtime/machine/machine.h"

namespace sluice {

namespace {

constexpr std::size_t kMostCallsInTurn = 128;

// A tool's words may be anything; the model gets text.
Value error_text(const Error& error) {
  Result<Value> text = Value::from_utf8("error: " + error.to_string());
  return text ? *text : Value::string("error: " + std::string(error.name()));
}

Value tool_message(const Value& call, Value content) {
  const Value* id = call.find("id");
  const Value* name = call.find("name");
  return Value::object({{"role", Value::string("tool")},
                        {"tool_call_id", id ? *id : Value()},
                        {"name", name ? *name : Value()},
                        {"content", std::move(content)}});
}

}  // namespace

void RunMachine::begin_turn_tools(Frame& frame, Task& task, const ToolsWanted& wanted) {
  if (!wanted.calls.is_array() || wanted.calls.items().empty()) {
    return task_failed(frame, task,
                       Error(ErrorCode::kModelFailed, "the model asked for tools but named none"));
  }
  if (wanted.calls.items().size() > kMostCallsInTurn) {
    return task_failed(frame, task,
                       Error(ErrorCode::kModelFailed,
                             fmt::format("the model asked for {} tools at once; {} are allowed",
                                         wanted.calls.items().size(), kMostCallsInTurn)));
  }
  if (!task.agent) task.agent = std::make_unique<AgentState>();
  AgentState& agent = *task.agent;
  agent.transcript.push_back(wanted.message);
  agent.calls.assign(wanted.calls.items().begin(), wanted.calls.items().end());
  agent.results.assign(agent.calls.size(), Value());
  agent.pending = static_cast<std::uint32_t>(agent.calls.size());
  const auto wanted_calls = static_cast<std::uint16_t>(agent.calls.size());
  for (std::uint16_t number = 1; number <= wanted_calls; ++number) {
    start_tool_call(frame, task, number);
  }
}

// Also a second time, when a call in doubt is made again.
void RunMachine::start_tool_call(Frame& frame, Task& task, std::uint16_t number) {
  const Value& wanted = task.agent->calls[number - 1u];
  if (const std::string spent = budget_words(frame, task.ref.step); !spent.empty()) {
    // The next turn cannot start either; until then the model's wish stays unanswered.
    return tool_answered(frame, task, number - 1u,
                         Value::string(fmt::format("error: the budget is spent: {}", spent)));
  }
  StartCall start;
  start.call = call_ref(task, number);
  start.step = &frame.plan->steps[task.ref.step];
  start.wanted = wanted;
  start.args = task.args;
  start.task_id = call_name(task, number);
  start.idempotency_key = call_key(start.task_id);
  ++task.running_calls;
  ++frame.running_calls;
  ++running_calls_;
  charge(frame, task.ref.step, Usage{}, 1);
  trace_call(TraceKind::kCallStarted, frame, start.call, Usage{}, nullptr, false);
  emit(std::move(start));
}

void RunMachine::tool_answered(Frame& frame, Task& task, std::size_t index, Value content) {
  AgentState& agent = *task.agent;
  agent.results[index] = tool_message(agent.calls[index], std::move(content));
  if (--agent.pending == 0) next_turn(frame, task);
}

// Every tool has answered: the model goes on with what they said.
void RunMachine::next_turn(Frame& frame, Task& task) {
  AgentState& agent = *task.agent;
  agent.transcript.insert(agent.transcript.end(), agent.results.begin(), agent.results.end());
  task.path = std::make_shared<PathNode>(task_id(task.ref) + " (tools)", task.started_ns, now_,
                                         std::move(task.path));
  task.started_ns = now_;
  ++task.turn;
  make_ready(frame, task);
}

void RunMachine::tool_call_ended(Frame& frame, Task& task, const CallEnded& ended) {
  std::size_t index = ended.call.call - 1u;
  bool current = task.agent && index < task.agent->calls.size() &&
                 ended.call == call_ref(task, ended.call.call) &&
                 task.agent->results[index].is_null();
  if (!current) return;
  const auto* returned = std::get_if<CallReturned>(&ended.outcome);
  const auto* failed = std::get_if<CallFailed>(&ended.outcome);
  if (failed && failed->doubt) return call_in_doubt(frame, task, ended, failed->error);
  call_over(frame, task, ended);
  if (returned) note_finished(frame, task, ended.call, *returned);
  if (frame.dead || task.abandoned) {
    // Its answer is noted all the same: no second one is taken.
    task.agent->results[index] = Value::boolean(true);
    if (task.running_calls == 0) drop_task(frame, task);
    return;
  }
  tool_answered(frame, task, index,
                returned ? returned->output
                : failed ? error_text(failed->error)
                         : Value::string("error: a tool cannot ask for tools"));
}

}  // namespace sluice
