#include "host/plan_scope.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

const FunctionSpec* discovered_function(const ToolEntry& entry, std::string_view function) {
  auto found = std::ranges::find(entry.functions, function, &FunctionSpec::name);
  if (found != entry.functions.end()) return &*found;
  const bool only_one = function.empty() && entry.functions.size() == 1;
  return only_one ? &entry.functions.front() : nullptr;
}

}  // namespace

PlanScope::PlanScope(PlanPtr plan, const PlanScope* parent)
    : plan_(std::move(plan)), parent_(parent), stated_(catalog_of(*plan_)) {}

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

ModelEntry* PlanScope::model(std::string_view id) const {
  if (auto found = models_.find(id); found != models_.end()) return found->second;
  if (parent_ == nullptr) return nullptr;
  if (limits_ && std::ranges::find(limits_->models, id) == limits_->models.end()) return nullptr;
  return parent_->model(id);
}

const FunctionSpec* PlanScope::find(std::string_view tool, std::string_view function) const {
  auto own = tools_.find(tool);
  if (own == tools_.end()) {
    const FunctionSpec* spec = parent_ == nullptr ? nullptr : parent_->find(tool, function);
    return spec != nullptr && allows_tool(tool, spec->name) ? spec : nullptr;
  }
  if (own->second->discovered) return discovered_function(*own->second, function);
  return stated_->find(tool, function);
}

bool PlanScope::complete(std::string_view tool) const {
  auto own = tools_.find(tool);
  if (own != tools_.end()) return own->second->discovered || stated_->complete(tool);
  return parent_ == nullptr ? stated_->complete(tool) : parent_->complete(tool);
}

std::vector<std::string_view> PlanScope::function_names(std::string_view tool) const {
  auto own = tools_.find(tool);
  std::vector<std::string_view> names;
  if (own != tools_.end() && own->second->discovered) {
    for (const FunctionSpec& spec : own->second->functions) names.push_back(spec.name);
    return names;
  }
  if (own != tools_.end() || parent_ == nullptr) return stated_->function_names(tool);
  names = parent_->function_names(tool);
  std::erase_if(names, [&](std::string_view name) { return !allows_tool(tool, name); });
  return names;
}

}  // namespace sluice
