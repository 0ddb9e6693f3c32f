#include "cli/trace_json.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "cli/numbers_text.h"
#include "data/json.h"

namespace sluice::cli {
namespace {

using Members = std::vector<Value::Member>;

Value number(std::uint64_t count) { return Value::integer(static_cast<std::int64_t>(count)); }

Value milliseconds(std::int64_t ns) {
  // Whole microseconds are exact enough and short.
  return Value::number(static_cast<double>(ns / 1000) / 1000);
}

Value usage_value(const Usage& usage) {
  Members members{{"prompt_tokens", number(usage.prompt_tokens)},
                  {"cached_tokens", number(usage.cached_tokens)},
                  {"completion_tokens", number(usage.completion_tokens)}};
  if (usage.usd > 0) members.emplace_back("usd", Value::number(usage.usd));
  return Value::object(std::move(members));
}

void add_task(Members& out, const TraceEvent& event) {
  out.emplace_back(
      "step", Value::string(event.step->logical_ids.empty() ? event.step->logical.id
                                                            : event.step->logical_ids.front()));
  const TaskRef& task = event.call.task;
  // A hash: more than a number of JSON holds for many readers.
  if (task.frame > 0) out.emplace_back("frame", Value::string(fmt::format("{:016x}", task.frame)));
  const bool whole = event.kind == TraceKind::kItemsKnown || task.item == kNoIndex;
  if (event.step->mapped && !whole) out.emplace_back("item", number(task.item));
}

void add_call(Members& out, const TraceEvent& event) {
  const CallRef& call = event.call;
  if (call.round > 0) out.emplace_back("round", number(call.round));
  if (call.attempt > 1) out.emplace_back("attempt", number(call.attempt));
  if (call.turn > 1) out.emplace_back("turn", number(call.turn));
  const std::uint16_t tool_call = call.call & static_cast<std::uint16_t>(~kUndoCall);
  if (tool_call > 0) out.emplace_back("tool_call", number(tool_call));
  if (call.undoes()) out.emplace_back("undo", Value::boolean(true));
}

Value text(const std::string& bytes) { return Value::from_utf8(bytes).value_or(Value()); }

void add_wait(Members& out, const WaitBegan& wait) {
  if (!wait.signal.empty()) out.emplace_back("signal", text(wait.signal));
  if (!wait.of.empty()) out.emplace_back("of", text(wait.of));
  if (!wait.ask.empty()) out.emplace_back("ask", text(wait.ask));
  if (wait.until_wall_ns != 0) out.emplace_back("until", text(time_text(wait.until_wall_ns)));
}

}  // namespace

Value error_value(const Error& error) {
  std::vector<const Error*> chain;
  for (const Error* at = &error; at != nullptr; at = at->cause()) chain.push_back(at);
  Value value;
  for (auto at = chain.rbegin(); at != chain.rend(); ++at) {
    Members members{{"code", Value::string((*at)->name())},
                    {"message", Value::from_utf8((*at)->message()).value_or(Value())}};
    if (!value.is_null()) members.emplace_back("cause", std::move(value));
    value = Value::object(std::move(members));
  }
  return value;
}

std::string trace_line(const TraceEvent& event) {
  Members members{{"event", Value::string(trace_kind_name(event.kind))},
                  {"at_ms", milliseconds(event.at)}};
  if (event.step != nullptr) {
    add_task(members, event);
    add_call(members, event);
  }
  switch (event.kind) {
    case TraceKind::kItemsKnown:
      members.emplace_back("count", number(event.count));
      members.emplace_back("closed", Value::boolean(event.closed));
      break;
    case TraceKind::kRetryScheduled:
      members.emplace_back("delay_ms", number(event.count));
      break;
    case TraceKind::kPlanAdmitted:
      members.emplace_back("steps", number(event.count));
      break;
    case TraceKind::kCallEnded:
      if (event.cached) members.emplace_back("cached", Value::boolean(true));
      if (event.from == CallReturned::From::kEqual) {
        members.emplace_back("equal", Value::boolean(true));
      }
      if (event.from == CallReturned::From::kEarlierRun) {
        members.emplace_back("earlier", Value::boolean(true));
      }
      if (event.from == CallReturned::From::kHedged) {
        members.emplace_back("hedged", Value::boolean(true));
      }
      if (event.usage.tokens() > 0) members.emplace_back("usage", usage_value(event.usage));
      break;
    case TraceKind::kReplanned:
      members.emplace_back("from_item", number(event.count));
      if (event.value != nullptr) members.emplace_back("why", *event.value);
      break;
    case TraceKind::kRunEnded:
      if (event.outcome != nullptr) {
        members.emplace_back("status", Value::string(run_status_name(event.outcome->status)));
      }
      break;
    case TraceKind::kWaiting:
      if (event.wait != nullptr) add_wait(members, *event.wait);
      break;
    default:
      break;
  }
  if (event.error != nullptr) members.emplace_back("error", error_value(*event.error));
  return to_json(Value::object(std::move(members)));
}

std::string run_line(const std::string& run_id, bool journaled) {
  return to_json(Value::object({{"event", Value::string("run")},
                                {"run", text(run_id)},
                                {"recorded", Value::boolean(journaled)}}));
}

std::string result_line(const RunReport& report) {
  std::vector<Value> errors;
  for (const Error& error : report.outcome.errors) errors.push_back(error_value(error));
  Members members{
      {"event", Value::string("result")},
      {"run", Value::string(report.run_id)},
      {"status", Value::string(run_status_name(report.outcome.status))},
      {"took_ms", milliseconds(report.summary.end_ns - report.summary.start_ns)},
      {"usage", usage_value(report.summary.usage)},
      {"failed_tasks", number(report.outcome.failed_tasks)},
      {"errors", Value::array(std::move(errors))},
      {"result", report.outcome.result},
  };
  return to_json(Value::object(std::move(members)));
}

}  // namespace sluice::cli
