// Kind `mcp`: a server of the Model Context Protocol over stdio. I/O executor only.
#pragma once

#include <memory>

#include "tools/settings.h"
#include "tools/tool.h"

namespace sluice {

Result<std::unique_ptr<Tool>> open_mcp_tool(const ToolSettings& settings);

}  // namespace sluice
