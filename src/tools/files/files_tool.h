// Kind `files`: the files below one folder. I/O executor; the work runs on the blocking executor.
#pragma once

#include <memory>

#include "tools/settings.h"
#include "tools/tool.h"

namespace sluice {

Result<std::unique_ptr<Tool>> open_files_tool(const ToolSettings& settings);

}  // namespace sluice
