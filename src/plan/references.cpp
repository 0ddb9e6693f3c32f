#include "plan/references.h"

#include <algorithm>
#include <iterator>
#include <map>

#include "plan/names.h"

namespace sluice {
namespace {

// A number that is certainly not `wanted` (an expression, or another constant) counts as set.
bool certainly(const Binding* binding, double wanted) {
  if (!binding) return false;
  std::optional<Value> value = binding->as_constant();
  return value && value->is_number() && value->as_double() == wanted;
}

Effect tool_effect(std::string_view target, std::string_view function, const ToolCatalog& tools) {
  const FunctionSpec* spec = tools.find(target, function);
  return spec ? spec->effect : Effect::kOnce;
}

// Greedy (the default) and seeded calls are pure, others read; the tools offered may be worse.
Effect llm_effect(const Step& step, const Plan& plan, const ToolCatalog& tools) {
  const NamedSettings* model = plan.find_model(step.target);
  const Value* sampling = model ? model->settings.find("sampling") : nullptr;
  const Value* model_seed = sampling ? sampling->find("seed") : nullptr;
  const Value* model_heat = sampling ? sampling->find("temperature") : nullptr;
  const Binding* heat = step.with.find("temperature");
  bool greedy = heat ? certainly(heat, 0)
                     : !model_heat || (model_heat->is_number() && model_heat->as_double() == 0);
  bool seeded = step.with.find("seed") || model_seed;
  Effect worst = greedy || seeded ? Effect::kPure : Effect::kRead;
  const Binding* offered = step.with.find("tools");
  std::optional<Value> names = offered ? offered->as_constant() : std::nullopt;
  if (offered && (!names || !names->is_array())) return Effect::kOnce;
  if (!names) return worst;
  for (const Value& name : names->items()) {
    if (!name.is_string()) continue;
    auto [tool, function] = split_function(name.as_string());
    worst = std::max(worst, tool_effect(tool, function, tools));
  }
  return worst;
}

// `known`: sub-plans that were looked at, so that many uses of one cost no more than one.
Effect worst_effect(const Step& step, const Plan& plan, const ToolCatalog& tools,
                    std::map<const Plan*, Effect>& known) {
  switch (step.op) {
    case OperatorKind::kLlm:
      return llm_effect(step, plan, tools);
    case OperatorKind::kTool:
      return tool_effect(step.target, step.function, tools);
    case OperatorKind::kCode:
    case OperatorKind::kValue:
    case OperatorKind::kTable:
      return Effect::kPure;
    case OperatorKind::kWait:
      return Effect::kRead;  // of the clock, and of what people say
    case OperatorKind::kPlan:
      break;
  }
  const PlanPtr* sub = step.produced_plan ? nullptr : plan.find_plan(step.target);
  if (!sub || !*sub) return Effect::kOnce;
  auto [found, fresh] = known.try_emplace(sub->get(), Effect::kPure);
  if (!fresh) return found->second;
  auto inner = catalog_within(**sub, tools);
  Effect worst = Effect::kPure;
  for (const Step& each : (*sub)->steps) {
    worst = std::max(worst, worst_effect(each, **sub, *inner, known));
  }
  return known[sub->get()] = worst;
}

}  // namespace

const Binding& body_of(const Step& step) {
  if (step.op == OperatorKind::kValue) return step.value;
  return step.op == OperatorKind::kWait ? step.wait : step.with;
}

void for_each_binding(const Step& step,
                      const std::function<void(const Binding& tree, EdgeUse use)>& visit) {
  if (step.for_each) visit(*step.for_each, EdgeUse::kItems);
  if (step.when) visit(*step.when, EdgeUse::kWhen);
  visit(body_of(step), EdgeUse::kBody);
  if (step.produced_plan) visit(*step.produced_plan, EdgeUse::kBody);
  if (step.repeat) visit(step.repeat->until, EdgeUse::kBody);
  if (step.on_error && step.on_error->kind == OnErrorRule::Kind::kValue) {
    visit(step.on_error->value, EdgeUse::kBody);
  }
  for (const auto& [id, join] : step.joins) {
    if (join.skipped.kind == JoinAction::Kind::kValue) visit(join.skipped.value, EdgeUse::kBody);
    if (join.failed.kind == JoinAction::Kind::kValue) visit(join.failed.value, EdgeUse::kBody);
  }
}

std::vector<Reference> references_of(const Binding& tree, EdgeUse use) {
  std::vector<Reference> found;
  tree.for_each_expr([&](const Binding& leaf) {
    for (const ExprInput& input : leaf.expr.inputs()) {
      if (input.root != "steps" || input.path.size() < 2) continue;
      EdgeMode mode = input.path[1] == "status" ? EdgeMode::kStatus
                      : input.slot              ? EdgeMode::kSlot
                                                : EdgeMode::kWhole;
      found.push_back({input.path[0], mode, use, false, leaf.position_at(input.offset)});
    }
  });
  return found;
}

std::vector<Reference> references_of(const Step& step) {
  std::vector<Reference> all;
  for_each_binding(step, [&](const Binding& tree, EdgeUse use) {
    std::vector<Reference> some = references_of(tree, use);
    bool exact = use == EdgeUse::kItems && tree.kind == Binding::Kind::kExpr &&
                 tree.expr.as_input() && some.size() == 1 && some[0].mode == EdgeMode::kWhole;
    if (exact) some[0].exact_items = true;
    all.insert(all.end(), std::make_move_iterator(some.begin()),
               std::make_move_iterator(some.end()));
  });
  for (const auto& after : step.after) {
    all.push_back({after.value, EdgeMode::kOrder, EdgeUse::kBody, false, after.pos});
  }
  return all;
}

bool step_streams(const Step& step, const ToolCatalog& tools) {
  if (step.op != OperatorKind::kTool || step.for_each || step.repeat) return false;
  const FunctionSpec* spec = tools.find(step.target, step.function);
  return spec && spec->streams;
}

Effect effect_of(const Step& step, const Plan& plan, const ToolCatalog& tools) {
  std::map<const Plan*, Effect> known;
  return worst_effect(step, plan, tools, known);
}

bool can_be_undone(const Step& step, const Plan& plan, const ToolCatalog& tools) {
  auto has_undo = [&](std::string_view tool, std::string_view function) {
    if (const FunctionSpec* spec = tools.find(tool, function)) return !spec->undo.is_null();
    const NamedSettings* settings = plan.find_tool(tool);  // its functions are not known yet
    return settings && settings->settings.find("undo");
  };
  if (step.op == OperatorKind::kTool) return has_undo(step.target, step.function);
  const Binding* offered = step.op == OperatorKind::kLlm ? step.with.find("tools") : nullptr;
  if (!offered) return false;
  std::optional<Value> names = offered->as_constant();
  if (!names) {  // any of them
    return std::ranges::any_of(plan.tools, [&](const NamedSettings& tool) {
      return std::ranges::any_of(tools.function_names(tool.id), [&](std::string_view function) {
        return has_undo(tool.id, function);
      });
    });
  }
  if (!names->is_array()) return false;
  return std::ranges::any_of(names->items(), [&](const Value& name) {
    if (!name.is_string()) return false;
    auto [tool, function] = split_function(name.as_string());
    return has_undo(tool, function);
  });
}

}  // namespace sluice
