#include "plan/logical.h"

#include <algorithm>
#include <array>

namespace sluice {
namespace {

template <class List>
auto* find_id(const List& list, std::string_view id) {
  auto found = std::ranges::find_if(list, [&](const auto& entry) { return entry.id == id; });
  return found == list.end() ? nullptr : &*found;
}

}  // namespace

std::string_view operator_name(OperatorKind kind) {
  static constexpr std::array<std::string_view, 7> kNames = {"llm",   "tool", "code", "plan",
                                                             "value", "wait", "table"};
  return kNames[static_cast<std::size_t>(kind)];
}

const JoinRule* Step::find_join(std::string_view step_id) const {
  auto found = std::ranges::find_if(joins, [&](const auto& join) { return join.first == step_id; });
  return found == joins.end() ? nullptr : &found->second;
}

const Step* Plan::find_step(std::string_view id) const { return find_id(steps, id); }
const NamedSettings* Plan::find_tool(std::string_view id) const { return find_id(tools, id); }
const NamedSettings* Plan::find_model(std::string_view id) const { return find_id(models, id); }
const ParamSpec* Plan::find_param(std::string_view id) const { return find_id(params, id); }

const PlanPtr* Plan::find_plan(std::string_view id) const {
  auto found = std::ranges::find_if(plans, [&](const auto& entry) { return entry.first == id; });
  return found == plans.end() ? nullptr : &found->second;
}

}  // namespace sluice
