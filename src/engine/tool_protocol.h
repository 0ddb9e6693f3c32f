// Tools for models whose files know none: a system text that describes the tools, an output schema
// that leaves the model exactly two choices (call one tool with arguments that fit its schema, or
// answer), and the way back from that JSON to tool calls. The same for every model, so that what
// the grammar enforces is what the prompt says. Pure functions; any thread.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "schedule/model_request.h"

namespace sluice {

// {"tool": NAME, "arguments": {...}} or {"answer": ...}; `answer` is the schema of the output that
// was asked for, or null for text.
Value tool_choice_schema(std::span<const ModelTool> tools, const Value& answer);

// The messages with the tools described in the system message, with earlier calls as the JSON that
// the model wrote and with results as messages of the user. Without tools only the latter two.
std::vector<ModelMessage> with_tools(std::span<const ModelMessage> messages,
                                     std::span<const ModelTool> tools);

struct ToolChoice {
  Value tool_calls;  // null: the model answered
  Value answer;
};
// `call_number` counts the calls of this conversation, so that ids are unique within it.
Result<ToolChoice> read_tool_choice(const Value& reply, std::size_t call_number);

std::size_t count_tool_calls(std::span<const ModelMessage> messages);

}  // namespace sluice
