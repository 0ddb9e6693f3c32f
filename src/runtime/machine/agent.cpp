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
  if (stopping()) return;
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
  for (std::size_t index = 0; index < agent.calls.size(); ++index) {
    if (const std::string spent = budget_words(frame, task.ref.step); !spent.empty()) {
      // The next turn cannot start either; until then the model's wish stays unanswered.
      agent.results[index] = tool_message(
          agent.calls[index], Value::string(fmt::format("error: the budget is spent: {}", spent)));
      --agent.pending;
      continue;
    }
    StartCall start;
    auto number = static_cast<std::uint16_t>(index + 1);
    start.call = call_ref(task, number);
    start.step = &frame.plan->steps[task.ref.step];
    start.wanted = agent.calls[index];
    start.args = task.args;
    start.task_id = round_id(task);
    start.idempotency_key = call_key(start.task_id, task, number);
    ++task.running_calls;
    ++frame.running_calls;
    ++running_calls_;
    charge(frame, task.ref.step, Usage{}, 1);
    trace_call(TraceKind::kCallStarted, frame, start.call, Usage{}, nullptr, false);
    emit(std::move(start));
  }
  if (agent.pending == 0) next_turn(frame, task);
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
  --task.running_calls;
  --frame.running_calls;
  --running_calls_;
  charge(frame, task.ref.step, ended.usage, 0);
  const auto* returned = std::get_if<CallReturned>(&ended.outcome);
  const auto* failed = std::get_if<CallFailed>(&ended.outcome);
  trace_call(TraceKind::kCallEnded, frame, ended.call, ended.usage,
             failed ? &failed->error : nullptr, false);
  AgentState& agent = *task.agent;
  Value content = returned ? returned->output
                  : failed ? error_text(failed->error)
                           : Value::string("error: a tool cannot ask for tools");
  agent.results[index] = tool_message(agent.calls[index], std::move(content));
  --agent.pending;
  if (frame.dead || task.abandoned) {
    if (failed && failed->doubt) note_doubt(frame, task.ref, failed->error);
    if (task.running_calls == 0) drop_task(frame, task);
    return;
  }
  if (failed && failed->doubt && !agent.doubt) {
    agent.doubt = std::make_unique<Error>(
        Error(ErrorCode::kInDoubt, "a tool that the model called may or may not have happened")
            .with_cause(failed->error));
  }
  if (agent.pending > 0) return;
  if (agent.doubt) {
    return end_task(frame, task, SlotStatus::kInDoubt, Value(), std::move(agent.doubt));
  }
  if (stopping()) return;
  next_turn(frame, task);
}

}  // namespace sluice
