// Kind `sql`: one SQLite database. I/O executor; statements run on the blocking executor, one at
// a time.
#pragma once

#include <memory>

#include "tools/settings.h"
#include "tools/tool.h"

namespace sluice {

Result<std::unique_ptr<Tool>> open_sql_tool(const ToolSettings& settings);

}  // namespace sluice
