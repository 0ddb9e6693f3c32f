// What verification and lowering may know about tools and models without calling them.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "plan/logical.h"
#include "plan/tool_spec.h"

namespace sluice {

// Read-only; must outlive its users; any thread.
class ToolCatalog {
 public:
  virtual ~ToolCatalog() = default;
  // The functions of a tool of `plan`, overrides applied. Null: no such tool, or no such function.
  // `function` "" asks for the tool's default function.
  virtual const FunctionSpec* find(std::string_view tool, std::string_view function) const = 0;
  // False while the functions of an open kind have not been asked for: then nothing is unknown.
  virtual bool complete(std::string_view tool) const = 0;
  virtual std::vector<std::string_view> function_names(std::string_view tool) const = 0;
};

// What an opened tool said of its functions, before the plan's settings change them.
struct DiscoveredTool {
  std::string tool;
  std::vector<FunctionSpec> functions;
};

// From the plan's own settings and the table of kinds; open kinds are incomplete, but for those in
// `discovered`, whose functions replace the table's.
std::unique_ptr<ToolCatalog> catalog_of(const Plan& plan,
                                        std::span<const DiscoveredTool> discovered = {});
// Of a sub-plan: tools that it has of the plan around it (`inherited`) are answered by `outer`,
// which must outlive the result.
std::unique_ptr<ToolCatalog> catalog_within(const Plan& sub_plan, const ToolCatalog& outer);
// The default function of a tool: the kind's, or what the settings name; "" when there is none.
std::string default_function(const NamedSettings& tool);
// Applies one map of settings (effect, input, output, timeout, ...) to a function.
void apply_settings(const Value& settings, const Plan& plan, FunctionSpec& function);

}  // namespace sluice
