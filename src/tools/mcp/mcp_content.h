// What MCP servers say, as values and function specs. Pure; any thread.
#pragma once

#include <vector>

#include "base/error.h"
#include "data/value.h"
#include "plan/tool_spec.h"

namespace sluice {

// Of one entry of tools/list; nullopt for one without a name.
std::optional<FunctionSpec> mcp_function(const Value& tool);
// Of the result of tools/call: its structured content, else its content (one part: that part;
// several: a list). kToolFailed with the server's words where it says isError.
Result<Value> mcp_output(const Value& result);

}  // namespace sluice
