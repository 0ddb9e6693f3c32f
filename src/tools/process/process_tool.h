// Kind `process`: a program started anew for every call. I/O executor only.
#pragma once

#include <memory>

#include "tools/settings.h"
#include "tools/tool.h"

namespace sluice {

Result<std::unique_ptr<Tool>> open_process_tool(const ToolSettings& settings);

}  // namespace sluice
