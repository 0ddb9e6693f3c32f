// Tool calls: what is checked before one leaves and what its answer means for the run. Pure; any
// thread.
#pragma once

#include <expected>
#include <optional>
#include <string_view>

#include "host/calls/call_outcome.h"
#include "plan/tool_spec.h"
#include "runtime/effect.h"
#include "runtime/host.h"
#include "tools/tool.h"

namespace sluice {

// kArgInvalid before anything leaves.
Result<ToolCall> make_tool_call(const StartCall& start, std::string_view tool,
                                const FunctionSpec& spec, const Value& args);
// `output`: the schema of the answer, null for none. A `once` call that left and then was lost (out
// of time, cancelled, its tool dead or out of reach, its answer too large to take) is in doubt.
CallOutcome tool_outcome(const SchemaPtr& output, Effect effect,
                         std::expected<ToolReply, ToolFailure> reply);
// What a probe said: {state: done | absent | unknown, output}. Anything else is unknown, with why;
// so is an output that does not fit `output`, the schema of the call that it is about.
CallProbed probe_answer(const CallRef& call, const SchemaPtr& output,
                        std::expected<ToolReply, ToolFailure> reply);
// Checks the whole output of a streaming function, whose schema (null: everything fits) is that of
// one item: kOutputInvalid.
std::optional<Error> check_items(const SchemaPtr& schema, const Value& output);

}  // namespace sluice
