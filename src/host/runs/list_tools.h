// The tools of a plan with the functions that they really have: opens them, asks open kinds, closes
// them again. Calls no function. Blocks; any thread.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "host/runs/run_service.h"
#include "plan/tool_spec.h"

namespace sluice {

struct ListedTool {
  std::string id;
  std::string kind;
  std::vector<FunctionSpec> functions;
};

Result<std::vector<ListedTool>> list_tools(const PlanPtr& plan, const RunSettings& settings);

}  // namespace sluice
