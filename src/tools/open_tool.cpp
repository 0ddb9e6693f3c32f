#include <fmt/format.h>

#include <array>
#include <string>
#include <vector>

#include "base/ids.h"
#include "tools/files/files_tool.h"
#include "tools/http/http_tool.h"
#include "tools/mcp/mcp_tool.h"
#include "tools/process/process_tool.h"
#include "tools/python/python_tool.h"
#include "tools/settings.h"
#include "tools/sql/sql_tool.h"
#include "tools/table/table_tool.h"
#include "tools/tool.h"

namespace sluice {
namespace {

struct KindRow {
  std::string_view kind;
  Result<std::unique_ptr<Tool>> (*open)(const ToolSettings& settings);
};

// One row a kind. A new one also needs its row in plan/tool_spec.cpp (settings and functions).
constexpr std::array<KindRow, 7> kKinds = {{
    {"process", open_process_tool},
    {"http", open_http_tool},
    {"sql", open_sql_tool},
    {"python", open_python_tool},
    {"mcp", open_mcp_tool},
    {"files", open_files_tool},
    {"table", open_table_tool},
}};

}  // namespace

Result<std::unique_ptr<Tool>> open_tool(std::string_view id, std::string_view kind,
                                        const Value& settings, const ToolEnvironment& environment) {
  std::vector<std::string_view> names;
  for (const KindRow& row : kKinds) {
    if (row.kind == kind) {
      return row.open(ToolSettings{std::string(id), settings, environment});
    }
    names.push_back(row.kind);
  }
  std::string close = closest_name(kind, names);
  return fail(ErrorCode::kSettingInvalid,
              fmt::format("there is no kind of tool called {}{}", kind,
                          close.empty() ? "" : fmt::format("; did you mean {}?", close)));
}

}  // namespace sluice
