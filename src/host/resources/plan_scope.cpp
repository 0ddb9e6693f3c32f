#include "host/resources/plan_scope.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace sluice {
PlanScope::PlanScope(PlanPtr plan, const PlanScope* parent)
    : plan_(std::move(plan)), parent_(parent), own_(catalog_of(*plan_)) {}

void PlanScope::take_discovered() {
  std::vector<DiscoveredTool> discovered;
  for (const auto& [id, entry] : tools_) {
    if (entry->discovered) discovered.push_back({id, entry->functions});
  }
  if (!discovered.empty()) own_ = catalog_of(*plan_, discovered);
}

bool PlanScope::allows_tool(std::string_view tool, std::string_view function) const {
  if (!limits_) return true;
  return std::ranges::any_of(limits_->tools, [&](const std::string& allowed) {
    return allowed == tool || allowed == fmt::format("{}.{}", tool, function);
  });
}

ToolEntry* PlanScope::tool(std::string_view id) const {
  if (auto found = tools_.find(id); found != tools_.end()) return found->second;
  return parent_ == nullptr ? nullptr : parent_->tool(id);
}

const PlanScope& PlanScope::home_of(std::string_view tool) const {
  if (tools_.contains(tool) || parent_ == nullptr) return *this;
  return parent_->home_of(tool);
}

ModelEntry* PlanScope::model(std::string_view id) const {
  if (auto found = models_.find(id); found != models_.end()) return found->second;
  if (parent_ == nullptr) return nullptr;
  if (limits_ && std::ranges::find(limits_->models, id) == limits_->models.end()) return nullptr;
  return parent_->model(id);
}

const FunctionSpec* PlanScope::find(std::string_view tool, std::string_view function) const {
  if (tools_.contains(tool) || parent_ == nullptr) return own_->find(tool, function);
  const FunctionSpec* spec = parent_->find(tool, function);
  return spec != nullptr && allows_tool(tool, spec->name) ? spec : nullptr;
}

bool PlanScope::complete(std::string_view tool) const {
  if (tools_.contains(tool) || parent_ == nullptr) return own_->complete(tool);
  return parent_->complete(tool);
}

std::vector<std::string_view> PlanScope::function_names(std::string_view tool) const {
  if (tools_.contains(tool) || parent_ == nullptr) return own_->function_names(tool);
  std::vector<std::string_view> names = parent_->function_names(tool);
  std::erase_if(names, [&](std::string_view name) { return !allows_tool(tool, name); });
  return names;
}

}  // namespace sluice
