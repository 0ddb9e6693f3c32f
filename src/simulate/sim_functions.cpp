#include "simulate/sim_functions.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "data/schema.h"

namespace sluice {
namespace {

constexpr auto kFunctions = std::to_array<SimFunction>({
    {"calc", Effect::kPure, SimDeed::kNumber, false, "", false, 8},
    {"list", Effect::kPure, SimDeed::kList, false, "", false, 8},
    {"test", Effect::kPure, SimDeed::kRefuse, false, "", false, 8},
    {"make_plan", Effect::kPure, SimDeed::kPlan, false, "", false, 8},
    {"get", Effect::kRead, SimDeed::kNumber, false, "", false, 4},
    {"look", Effect::kRead, SimDeed::kLook, false, "", false, 4},
    {"draft_plan", Effect::kRead, SimDeed::kPlan, false, "", false, 8},
    {"rows", Effect::kRead, SimDeed::kList, false, "", true, 8},
    {"put", Effect::kIdempotent, SimDeed::kNumber, false, "", false, 8},
    {"pay", Effect::kOnce, SimDeed::kNumber, false, "", false, 8},
    {"charge", Effect::kOnce, SimDeed::kNumber, true, "", false, 3},
    {"reserve", Effect::kOnce, SimDeed::kNumber, true, "release", false, 8},
    {"release", Effect::kOnce, SimDeed::kNumber, true, "", false, 8},
    {"ship", Effect::kIdempotent, SimDeed::kNumber, false, "unship", false, 8},
    {"unship", Effect::kIdempotent, SimDeed::kNumber, false, "", false, 8},
});

SchemaPtr number_schema() {
  static const SchemaPtr schema = Schema::literal(R"({"type": "integer"})");
  return schema;
}
SchemaPtr list_schema() {
  static const SchemaPtr schema =
      Schema::literal(R"({"type": "array", "items": {"type": "integer"}})");
  return schema;
}

Value call_of(std::string_view function) {
  return Value::object({{"tool", Value::string(fmt::format("{}.{}", kSimTool, function))},
                        {"with", Value::object({{"key", Value::string("{{ key }}")}})}});
}

FunctionSpec spec_of(const SimFunction& function) {
  FunctionSpec spec;
  spec.name = function.name;
  spec.effect = function.effect;
  spec.streams = function.streams;
  spec.concurrency = function.concurrency;
  spec.timeout_ms = 2000;
  const bool list = function.deed == SimDeed::kList && !function.streams;
  if (function.deed != SimDeed::kPlan) spec.output = list ? list_schema() : number_schema();
  if (function.probe) {
    spec.has_probe = true;
    spec.probe = call_of("get");
  }
  if (!function.undo.empty()) spec.undo = call_of(function.undo);
  return spec;
}

const std::vector<DiscoveredTool>& discovered() {
  static const std::vector<DiscoveredTool> tools = [] {
    DiscoveredTool tool{std::string(kSimTool), {}};
    for (const SimFunction& function : kFunctions) tool.functions.push_back(spec_of(function));
    return std::vector<DiscoveredTool>{std::move(tool)};
  }();
  return tools;
}

class LimitedCatalog final : public ToolCatalog {
 public:
  LimitedCatalog(const Limits& limits, const ToolCatalog& outer)
      : allowed_(limits.tools), outer_(outer) {}

  const FunctionSpec* find(std::string_view tool, std::string_view function) const override {
    const FunctionSpec* spec = outer_.find(tool, function);
    return spec != nullptr && allows(tool, spec->name) ? spec : nullptr;
  }
  bool complete(std::string_view tool) const override { return outer_.complete(tool); }
  std::vector<std::string_view> function_names(std::string_view tool) const override {
    std::vector<std::string_view> names = outer_.function_names(tool);
    std::erase_if(names, [&](std::string_view name) { return !allows(tool, name); });
    return names;
  }

 private:
  bool allows(std::string_view tool, std::string_view function) const {
    return std::ranges::any_of(allowed_, [&](const std::string& name) {
      return name == tool || name == fmt::format("{}.{}", tool, function);
    });
  }

  std::vector<std::string> allowed_;
  const ToolCatalog& outer_;
};

}  // namespace

std::span<const SimFunction> sim_functions() { return kFunctions; }

const SimFunction* find_sim_function(std::string_view name) {
  auto found = std::ranges::find(kFunctions, name, &SimFunction::name);
  return found == kFunctions.end() ? nullptr : &*found;
}

std::unique_ptr<ToolCatalog> sim_catalog(const Plan& plan) {
  return catalog_of(plan, discovered());
}

std::unique_ptr<ToolCatalog> sim_catalog_within(const Limits& limits, const ToolCatalog& outer) {
  return std::make_unique<LimitedCatalog>(limits, outer);
}

}  // namespace sluice
