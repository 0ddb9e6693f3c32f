#include "host/calls/call_targets.h"

#include <fmt/format.h>

#include <utility>

#include "data/json.h"
#include "plan/names.h"
#include "plan/related_call.h"

namespace sluice {
namespace {

std::string text_member(const Value& value, std::string_view key) {
  const Value* member = value.find(key);
  return member != nullptr && member->is_string() ? std::string(member->as_string()) : "";
}

// Models give arguments as an object, or as its JSON text.
Result<Value> wanted_arguments(const Value& wanted) {
  const Value* arguments = wanted.find("arguments");
  if (arguments == nullptr || arguments->is_null()) return Value::object({});
  if (!arguments->is_string()) return *arguments;
  auto parsed = parse_json(arguments->as_string());
  if (!parsed) {
    return fail(ErrorCode::kArgInvalid,
                fmt::format("the arguments are not JSON: {}", parsed.error().message()));
  }
  return parsed;
}

// The key of the call itself: what undoes it goes out with one of its own.
std::string original_key(const StartCall& start) {
  constexpr std::string_view kUndoKey = "/undo";
  std::string_view key = start.idempotency_key;
  if (start.undo && key.ends_with(kUndoKey)) key.remove_suffix(kUndoKey.size());
  return std::string(key);
}

}  // namespace

void CallTargets::add_plan(const PhysicalPlanPtr& plan, const PlanScope& scope,
                           Resources& resources) {
  plans_.push_back(plan);
  for (const PhysicalStep& step : plan->steps) {
    StepTarget target{.scope = &scope};
    if (step.logical.op == OperatorKind::kTool) {
      target.tool = scope.tool(step.logical.target);
      target.function = scope.find(step.logical.target, step.logical.function);
    } else if (step.logical.op == OperatorKind::kLlm) {
      target.model =
          resources.small_model_first(step.advice, scope, scope.model(step.logical.target));
    }
    const bool is_new = targets_.insert_or_assign(&step, target).second;
    if (!is_new || step.plan == nullptr) continue;
    const PlanScope* inside = resources.scope(step.plan->logical.get());
    add_plan(step.plan, inside == nullptr ? scope : *inside, resources);
  }
}

const StepTarget* CallTargets::find(const PhysicalStep* step) const {
  auto found = targets_.find(step);
  return found == targets_.end() ? nullptr : &found->second;
}

Result<std::vector<OfferedTool>> CallTargets::offered(const PlanScope& scope, const Value& args) {
  std::vector<OfferedTool> offered;
  const Value* names = args.find("tools");
  if (names == nullptr || !names->is_array()) return offered;
  for (const Value& item : names->items()) {
    const std::string name(item.is_string() ? item.as_string() : "");
    const std::size_t dot = name.find('.');
    const std::string tool = name.substr(0, dot);
    std::vector<std::string_view> functions = scope.function_names(tool);
    if (dot != std::string::npos) functions = {std::string_view(name).substr(dot + 1)};
    for (std::string_view function : functions) {
      const FunctionSpec* spec = scope.find(tool, function);
      if (spec == nullptr)
        return fail(ErrorCode::kToolUnknown, fmt::format("no tool function {}", name));
      offered.push_back({wire_tool_name(tool, spec->name), tool, spec});
    }
    if (functions.empty()) return fail(ErrorCode::kToolUnknown, fmt::format("no tool {}", name));
  }
  return offered;
}

Result<ToolTarget> CallTargets::tool_of(const StartCall& start) const {
  const StepTarget* target = find(start.step);
  if (target == nullptr) {
    return fail(ErrorCode::kInternal, "a step of a plan that was never added");
  }
  return start.wanted.is_null() ? step_tool(start, *target) : wanted_tool(start, *target);
}

Result<ToolTarget> CallTargets::step_tool(const StartCall& start, const StepTarget& target) const {
  const Step& step = start.step->logical;
  if (target.tool == nullptr || target.function == nullptr) {
    return fail(ErrorCode::kToolUnknown,
                fmt::format("no tool function {}.{}", step.target, step.function));
  }
  return ToolTarget{&target.scope->home_of(step.target), target.tool, target.tool->id,
                    target.function, start.args};
}

// Only what the step offers.
Result<ToolTarget> CallTargets::wanted_tool(const StartCall& start,
                                            const StepTarget& target) const {
  auto tools = offered(*target.scope, start.args);
  if (!tools) return std::unexpected(tools.error());
  const std::string name = text_member(start.wanted, "name");
  for (const OfferedTool& tool : *tools) {
    if (tool.wire_name != name && fmt::format("{}.{}", tool.tool, tool.spec->name) != name)
      continue;
    auto args = wanted_arguments(start.wanted);
    if (!args) return std::unexpected(args.error());
    ToolEntry* entry = target.scope->tool(tool.tool);
    if (entry == nullptr) break;
    return ToolTarget{&target.scope->home_of(tool.tool), entry, tool.tool, tool.spec,
                      std::move(*args)};
  }
  std::string names;
  for (const OfferedTool& tool : *tools) names += (names.empty() ? "" : ", ") + tool.wire_name;
  return fail(ErrorCode::kToolUnknown,
              fmt::format("there is no tool {}; there are: {}", name, names));
}

Result<ToolTarget> CallTargets::call_about(const ToolTarget& about, const Value& setting,
                                           const StartCall& start, const std::string& key,
                                           const Value& output) {
  const Value call = Value::object({{"tool", Value::string(about.name)},
                                    {"function", Value::string(about.function->name)},
                                    {"args", about.args},
                                    {"task", Value::string(start.task_id)}});
  auto bound = bind_helper_call(setting, call, Value::string(key), output);
  if (!bound) return std::unexpected(bound.error());
  ToolTarget target;
  target.home = &about.home->home_of(bound->tool);
  target.tool = about.home->tool(bound->tool);
  target.function = about.home->find(bound->tool, bound->function);
  if (target.tool == nullptr || target.function == nullptr) {
    return fail(ErrorCode::kToolUnknown,
                fmt::format("no tool function {}.{}", bound->tool, bound->function));
  }
  target.name = std::move(bound->tool);
  target.args = std::move(bound->args);
  return target;
}

Result<const FunctionSpec*> CallTargets::undo_function(const StartCall& start) const {
  const bool tool = !start.wanted.is_null() || start.step->logical.op == OperatorKind::kTool;
  if (!tool) return nullptr;
  auto about = tool_of(start);
  if (!about) return std::unexpected(about.error());
  const Value* named = about->function->undo.find("tool");
  if (named == nullptr || !named->is_string()) return nullptr;
  const auto [undoing, function] = split_function(named->as_string());
  return about->home->find(undoing, function);
}

Result<std::optional<ToolTarget>> CallTargets::undo_of(const StartCall& start) const {
  const bool tool = !start.wanted.is_null() || start.step->logical.op == OperatorKind::kTool;
  if (!tool) return std::nullopt;
  auto about = tool_of(start);
  if (!about) return std::unexpected(about.error());
  if (about->function->undo.is_null()) return std::nullopt;
  auto target = call_about(*about, about->function->undo, start, original_key(start), start.undone);
  if (!target) return std::unexpected(target.error());
  return std::optional(std::move(*target));
}

Result<std::optional<ToolTarget>> CallTargets::probe_of(const StartCall& start) const {
  Result<std::optional<ToolTarget>> about = std::nullopt;
  if (start.undo) {
    about = undo_of(start);
  } else if (auto direct = tool_of(start); direct) {
    about = std::optional(std::move(*direct));
  } else {
    about = std::unexpected(direct.error());
  }
  if (!about || !*about) return about;
  const FunctionSpec& function = *(*about)->function;
  if (!function.has_probe) return std::nullopt;
  auto target = call_about(**about, function.probe, start, start.idempotency_key, Value());
  if (!target) return std::unexpected(target.error());
  return std::optional(std::move(*target));
}

}  // namespace sluice
