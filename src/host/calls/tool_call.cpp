#include "host/calls/tool_call.h"

#include <fmt/format.h>

#include <optional>

#include "data/json.h"
#include "data/schema.h"

namespace sluice {
namespace {

// Failures after which nobody knows whether the other side did its work.
bool lost_on_the_way(const ToolFailure& failure) {
  if (failure.unknown) return true;
  switch (failure.error.code()) {
    case ErrorCode::kTimeout:
    case ErrorCode::kCancelled:
    case ErrorCode::kInterrupted:
    case ErrorCode::kToolDied:
    case ErrorCode::kHttpUnreachable:
    case ErrorCode::kIo:
    case ErrorCode::kToolTooLarge:  // it did something, or was ended while it did
      return true;
    default:
      return false;
  }
}

}  // namespace

std::optional<Error> check_output(const SchemaPtr& schema, const Value& output) {
  if (!schema || schema->valid(output)) return std::nullopt;
  auto violations = schema->validate(output);
  return Error(ErrorCode::kOutputInvalid,
               fmt::format("the output does not fit its schema: {}; it is {}", describe(violations),
                           preview(output)));
}

std::optional<Error> check_items(const SchemaPtr& schema, const Value& output) {
  if (!schema || !output.is_array()) return std::nullopt;
  for (std::size_t index = 0; index < output.items().size(); ++index) {
    auto misfit = check_output(schema, output.items()[index]);
    if (!misfit) continue;
    return Error(ErrorCode::kOutputInvalid, fmt::format("item {} does not fit", index))
        .with_cause(*misfit);
  }
  return std::nullopt;
}

Result<ToolCall> make_tool_call(const StartCall& start, std::string_view tool,
                                const FunctionSpec& spec, const Value& args) {
  const Value given = args.is_null() ? Value::object({}) : args;
  const std::string name = fmt::format("{}.{}", tool, spec.name);
  if (!given.is_object()) {
    return fail(ErrorCode::kArgInvalid,
                fmt::format("{} takes a map of arguments, not {}", name, kind_name(given.kind())));
  }
  if (spec.input && !spec.input->valid(given)) {
    auto violations = spec.input->validate(given);
    return fail(ErrorCode::kArgInvalid,
                fmt::format("{} does not take these arguments: {}", name, describe(violations)));
  }
  ToolCall call;
  call.function = spec.name;
  call.args = given;
  call.task = start.task_id;
  call.idempotency_key = start.idempotency_key;
  call.timeout_ms = start.timeout_ms > 0 ? start.timeout_ms : spec.timeout_ms;
  call.max_bytes = spec.max_bytes;
  call.streaming = start.streaming;
  return call;
}

CallProbed probe_answer(const CallRef& call, const SchemaPtr& output,
                        std::expected<ToolReply, ToolFailure> reply) {
  CallProbed probed{.call = call};
  if (!reply) {
    probed.error = reply.error().error;
    return probed;
  }
  const Value& said = reply->output;
  const Value* state = said.find("state");
  const std::string_view word = state != nullptr && state->is_string() ? state->as_string() : "";
  if (word == "absent") {
    probed.state = CallProbed::State::kAbsent;
  } else if (word == "done") {
    if (const Value* given = said.find("output")) probed.output = *given;
    if (auto misfit = check_output(output, probed.output)) {
      probed.error = Error(ErrorCode::kToolOutput, "the probe says done").with_cause(*misfit);
      return probed;
    }
    probed.output = probed.output.with_labels({.untrusted = true});
    probed.state = CallProbed::State::kDone;
  } else if (word != "unknown") {
    probed.error = Error(
        ErrorCode::kToolOutput,
        fmt::format("a probe answers {{state: done, absent or unknown}}, not {}", preview(said)));
  }
  return probed;
}

CallOutcome tool_outcome(const SchemaPtr& output, Effect effect,
                         std::expected<ToolReply, ToolFailure> reply) {
  if (!reply) {
    ToolFailure& failure = reply.error();
    const bool doubt = effect == Effect::kOnce && failure.left && lost_on_the_way(failure);
    return CallOutcome::failed(std::move(failure.error), doubt);
  }
  if (auto misfit = check_output(output, reply->output)) return CallOutcome::failed(*misfit);
  return CallOutcome::returned(reply->output.with_labels({.untrusted = true}));
}

}  // namespace sluice
