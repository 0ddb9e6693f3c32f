// Kind `python`: functions of a Python file (or of a text in the settings). I/O executor only.
#pragma once

#include <memory>

#include "tools/settings.h"
#include "tools/tool.h"

namespace sluice {

Result<std::unique_ptr<Tool>> open_python_tool(const ToolSettings& settings);

}  // namespace sluice
