// What verification and lowering may know about tools and models without calling them.
#pragma once

#include <memory>
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

// From the plan's own settings and the table of kinds; open kinds are incomplete.
std::unique_ptr<ToolCatalog> catalog_of(const Plan& plan);

}  // namespace sluice
