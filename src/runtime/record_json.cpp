// Records as JSON lines, for `runs export`: for people and other programs, not to be read back.

#include <fmt/format.h>

#include "base/overloaded.h"
#include "data/json.h"
#include "runtime/record.h"

namespace sluice {
namespace {

using Members = std::vector<Value::Member>;

Value text(std::string_view bytes) {
  Result<Value> value = Value::from_utf8(bytes);
  return value ? *value : Value::string(fmt::format("({} bytes that are not UTF-8)", bytes.size()));
}

Value count(std::uint64_t number) { return Value::integer(static_cast<std::int64_t>(number)); }

// Frames and timers are hashes: hex, so that no reader rounds them.
Value hash(std::uint64_t number) { return Value::string(fmt::format("{:016x}", number)); }

Value task_json(const TaskRef& task) {
  Members members{{"frame", task.frame == 0 ? Value::string("root") : hash(task.frame)},
                  {"step", count(task.step)}};
  if (task.item != kNoIndex) members.emplace_back("item", count(task.item));
  return Value::object(std::move(members));
}

Value call_json(const CallRef& call) {
  Value task = task_json(call.task);
  Members members(task.members().begin(), task.members().end());
  if (call.round != 0) members.emplace_back("round", count(call.round));
  members.emplace_back("attempt", count(call.attempt));
  if (call.turn > 1) members.emplace_back("turn", count(call.turn));
  if (call.undoes()) members.emplace_back("undoes", Value::boolean(true));
  const std::uint16_t tool = call.call & static_cast<std::uint16_t>(~kUndoCall);
  if (tool != 0) members.emplace_back("tool_call", count(tool));
  return Value::object(std::move(members));
}

Value error_json(const Error& error) {
  return Value::object(
      {{"code", Value::string(error.name())}, {"message", text(error.to_string())}});
}

Value usage_json(const Usage& usage) {
  return Value::object({{"prompt_tokens", count(usage.prompt_tokens)},
                        {"cached_tokens", count(usage.cached_tokens)},
                        {"completion_tokens", count(usage.completion_tokens)},
                        {"usd", Value::number(usage.usd)}});
}

void add_header(Members& out, const RunHeader& header) {
  out.emplace_back("run", text(header.run_id));
  out.emplace_back("program", text(header.program));
  Members files;
  for (const auto& [name, content] : header.files) files.emplace_back(name, text(content));
  out.emplace_back("files", Value::object(std::move(files)));
  out.emplace_back("physical", header.physical);
  out.emplace_back("settings", header.settings);
  out.emplace_back("wall_ns", Value::integer(header.wall_ns));
  if (!header.forked_from.empty()) {
    out.emplace_back("forked_from", text(header.forked_from));
    out.emplace_back("fork_step", text(header.fork_step));
  }
}

// "": its own call, or nothing more is known.
std::string_view from_name(CallReturned::From from) {
  switch (from) {
    case CallReturned::From::kCall:
      return "";
    case CallReturned::From::kEqual:
      return "equal call";
    case CallReturned::From::kEarlierRun:
      return "earlier run";
    case CallReturned::From::kHedged:
      return "hedged call";
  }
  return "";
}

void add_outcome(Members& out, const CallEnded& ended) {
  out.emplace_back("call", call_json(ended.call));
  std::visit(Overloaded{
                 [&](const CallReturned& returned) {
                   out.emplace_back("output", returned.output);
                   if (returned.cached) out.emplace_back("cached", Value::boolean(true));
                   if (const std::string_view from = from_name(returned.from); !from.empty()) {
                     out.emplace_back("from", Value::string(from));
                   }
                 },
                 [&](const CallFailed& failed) {
                   out.emplace_back("error", error_json(failed.error));
                   if (failed.doubt) out.emplace_back("doubt", Value::boolean(true));
                 },
                 [&](const ToolsWanted& wanted) {
                   out.emplace_back("message", wanted.message);
                   out.emplace_back("tool_calls", wanted.calls);
                 },
             },
             ended.outcome);
  if (ended.usage.tokens() > 0 || ended.usage.usd > 0) {
    out.emplace_back("usage", usage_json(ended.usage));
  }
}

void add_wait(Members& out, const WaitBegan& wait) {
  out.emplace_back("call", call_json(wait.call));
  if (!wait.signal.empty()) out.emplace_back("signal", text(wait.signal));
  if (wait.until_wall_ns != 0) {
    out.emplace_back("until_wall_ns", Value::integer(wait.until_wall_ns));
  }
  if (wait.has_value) out.emplace_back("value", wait.value);
  if (!wait.of.empty()) out.emplace_back("of", text(wait.of));
  if (!wait.ask.empty()) out.emplace_back("ask", text(wait.ask));
  if (wait.error) out.emplace_back("error", error_json(*wait.error));
}

void add_event(Members& out, const EventRecord& record) {
  if (record.rounds != 0) out.emplace_back("rounds", count(record.rounds));
  if (record.digest != 0) out.emplace_back("digest", text(fmt::format("{:08x}", record.digest)));
  if (record.message != 0) out.emplace_back("inbox", count(record.message));
  std::visit(Overloaded{
                 [&](const RunStarted& body) {
                   out.emplace_back("run", text(body.run_id));
                   out.emplace_back("params", body.params);
                   out.emplace_back("seed", hash(body.seed));
                 },
                 [&](const CallEnded& body) { add_outcome(out, body); },
                 [&](const CallResumed& body) { out.emplace_back("call", call_json(body.call)); },
                 [&](const ItemEmitted& body) {
                   out.emplace_back("call", call_json(body.call));
                   out.emplace_back("item", body.item);
                 },
                 [&](const PlanAdmitted& body) {
                   out.emplace_back("task", task_json(body.task));
                   out.emplace_back("plan", record.admitted);
                 },
                 [&](const PlanRefused& body) {
                   out.emplace_back("task", task_json(body.task));
                   out.emplace_back("error", error_json(body.error));
                 },
                 [&](const TimerFired& body) { out.emplace_back("timer", hash(body.timer)); },
                 [&](const WaitBegan& body) { add_wait(out, body); },
                 [&](const SignalReceived& body) {
                   out.emplace_back("inbox", count(body.message));
                   out.emplace_back("name", text(body.name));
                   if (!body.task.empty()) out.emplace_back("task", text(body.task));
                   out.emplace_back("value", body.value);
                 },
                 [&](const CancelRequested& body) {
                   if (body.message != 0) out.emplace_back("inbox", count(body.message));
                   out.emplace_back("reason", text(body.reason));
                 },
                 [&](const StepReplanned& body) {
                   out.emplace_back("step", count(body.step));
                   out.emplace_back("from_item", count(body.from_item));
                   out.emplace_back("why", text(body.why));
                   out.emplace_back("plan", record.admitted);
                 },
             },
             record.event.body);
}

void add_body(Members& out, const Record& record) {
  std::visit(Overloaded{
                 [&](const RunHeader& body) { add_header(out, body); },
                 [&](const RunResumedRecord& body) {
                   out.emplace_back("program", text(body.program));
                   out.emplace_back("owner", text(body.owner));
                   out.emplace_back("wall_ns", Value::integer(body.wall_ns));
                 },
                 [&](const IntentRecord& body) {
                   out.emplace_back("call", call_json(body.call));
                   if (body.withdrawn) out.emplace_back("withdrawn", Value::boolean(true));
                 },
                 [&](const RunEndedRecord& body) {
                   out.emplace_back("status", Value::string(run_status_name(body.status)));
                   std::vector<Value> errors;
                   errors.reserve(body.errors.size());
                   for (const std::string& error : body.errors) errors.push_back(text(error));
                   out.emplace_back("errors", Value::array(std::move(errors)));
                   out.emplace_back("result", body.result);
                 },
                 [&](const SnapshotRecord& body) {
                   add_header(out, body.header);
                   out.emplace_back("state_bytes", count(body.state.size()));
                   out.emplace_back("effects_bytes", count(body.effects.size()));
                   out.emplace_back("last_message", count(body.last_message));
                 },
                 [&](const NoteRecord& body) {
                   out.emplace_back("text", text(body.text));
                   out.emplace_back("wall_ns", Value::integer(body.wall_ns));
                   if (body.message != 0) out.emplace_back("inbox", count(body.message));
                 },
                 [&](const EventRecord& body) { add_event(out, body); },
             },
             record.body);
}

}  // namespace

std::string record_json(JournalSeq seq, const Record& record) {
  Members members{{"seq", count(seq)},
                  {"type", Value::string(record_type_name(record_type(record)))},
                  {"at", Value::integer(record.at)}};
  add_body(members, record);
  return to_json(Value::object(std::move(members)));
}

}  // namespace sluice
