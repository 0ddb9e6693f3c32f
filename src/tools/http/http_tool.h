// Kind `http`: requests to one server, below one base URL. I/O executor only.
#pragma once

#include <memory>

#include "tools/settings.h"
#include "tools/tool.h"

namespace sluice {

Result<std::unique_ptr<Tool>> open_http_tool(const ToolSettings& settings);

}  // namespace sluice
