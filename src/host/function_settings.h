// What a plan's settings say over the functions that an open kind (python, mcp) was found to have:
// effect, schemas, timeout, limits. Pure; any thread.
#pragma once

#include "base/error.h"
#include "plan/tool_spec.h"

namespace sluice {

// The tool's common keys first, then `functions: {NAME: ...}`. kSettingInvalid for a schema that
// does not compile.
Result<void> apply_function_settings(const Value& settings, FunctionSpec& spec);

}  // namespace sluice
