// Kind `table`: the rows of a file as a stream, and a file made of rows that come in any order. I/O
// executor; files are read and written on the blocking executor, results of rows in groups.
#pragma once

#include <memory>

#include "tools/settings.h"
#include "tools/table/work_file.h"
#include "tools/tool.h"

namespace sluice {

Result<std::unique_ptr<Tool>> open_table_tool(const ToolSettings& settings);

// What a call of `put` with these arguments keeps.
StoredRow row_of_put(const Value& args);

}  // namespace sluice
