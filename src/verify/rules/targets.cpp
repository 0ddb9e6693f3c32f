// TOOL_UNKNOWN, MODEL_UNKNOWN, PLAN_UNKNOWN: what a step calls is there, and what a model's `first`
// names (SETTING_INVALID where that makes no sense).
#include "fmt/format.h"
#include "plan/names.h"
#include "verify/rules.h"

namespace sluice {
namespace {

class Targets {
 public:
  Targets(const VerifyContext& context, Diagnostics& out) : context_(context), out_(out) {
    for (const NamedSettings& tool : context.plan.tools) tools_.push_back(tool.id);
    for (const NamedSettings& model : context.plan.models) models_.push_back(model.id);
    models_.push_back("default");
    for (const auto& [id, plan] : context.plan.plans) plans_.push_back(id);
  }

  void tool(std::string_view tool, std::string_view function, SourcePos pos) {
    const NamedSettings* named = context_.plan.find_tool(tool);
    // A produced plan has no tools of its own: the catalog has its parent's.
    bool known = named || (context_.limits && (!context_.tools.complete(tool) ||
                                               !context_.tools.function_names(tool).empty()));
    if (!known) {
      report(
          ErrorCode::kToolUnknown, pos,
          fmt::format("no tool {}{}", shown(tool),
                      tools_.empty() ? "; the plan names no tools" : did_you_mean(tool, tools_)));
      return;
    }
    if (context_.tools.find(tool, function)) return;
    if (named && !find_tool_kind(named->kind)) return;  // its kind was reported
    std::vector<std::string_view> names = context_.tools.function_names(tool);
    if (function.empty() && !(named && !default_function(*named).empty())) {
      std::string choice =
          names.empty()
              ? fmt::format("{}.NAME", tool)
              : fmt::format("{}.{}", tool, fmt::join(names, fmt::format(" or {}.", tool)));
      report(ErrorCode::kToolUnknown, pos,
             fmt::format("{} has no default function; write {}", tool, choice));
      return;
    }
    if (!context_.tools.complete(tool)) return;
    if (tool_writes_not(named, function)) {
      report(ErrorCode::kToolUnknown, pos,
             fmt::format("{} may not write; add write: true to its settings", tool));
      return;
    }
    std::string hint = did_you_mean(function, names);
    if (hint.empty()) hint = fmt::format("; it has {}", fmt::join(names, ", "));
    report(ErrorCode::kToolUnknown, pos,
           fmt::format("{} has no function {}{}", tool, shown(function), hint));
  }

  void model(const Step& step) {
    if (context_.limits || step.target.empty()) return;  // rule_allowed checks those
    if (step.target == "default" || context_.plan.find_model(step.target)) return;
    report(ErrorCode::kModelUnknown, step.target_pos,
           fmt::format("no model {}{}", shown(step.target), did_you_mean(step.target, models_)));
  }

  // The model that is asked before this one, where the plan allows it.
  void first_of(const NamedSettings& model) {
    const auto position = [&model](std::string_view key) {
      auto known = model.positions.find(key);
      return known == model.positions.end() ? model.pos : known->second;
    };
    const Value* first = model.settings.find("first");
    if (!first && model.settings.find("least_confidence")) {
      report(ErrorCode::kSettingInvalid, position("/least_confidence"),
             fmt::format("least_confidence says when the answer of another model is taken; name "
                         "that model: first: ID, beside it in the settings of {}",
                         model.id));
    }
    if (!first || !first->is_string()) return;  // its form is checked elsewhere
    const std::string_view id = first->as_string();
    if (id == model.id) {
      report(ErrorCode::kSettingInvalid, position("/first"),
             fmt::format("{} would be asked before itself; first names another model", id));
    } else if (id != "default" && !context_.plan.find_model(id)) {
      report(ErrorCode::kModelUnknown, position("/first"),
             fmt::format("no model {}{}", shown(id), did_you_mean(id, models_)));
    }
  }

  void sub_plan(const Step& step) {
    if (step.produced_plan || step.target.empty() || context_.plan.find_plan(step.target)) return;
    report(ErrorCode::kPlanUnknown, step.target_pos,
           fmt::format("no plan {}{}", shown(step.target),
                       plans_.empty() ? "; the plan has no plans section"
                                      : did_you_mean(step.target, plans_)));
  }

  // The tools that an llm step offers its model.
  void offered(const Step& step) {
    const Binding* tools = step.with.find("tools");
    if (!tools || tools->broken) return;
    auto names = tools->as_constant();
    if (!names) {
      report(ErrorCode::kValueInvalid, tools->pos,
             "tools is a list of names, no expression: what is offered is checked before the run");
      return;
    }
    if (!names->is_array()) return;  // the type is reported elsewhere
    for (std::size_t i = 0; i < names->items().size(); ++i) {
      const Value& name = names->items()[i];
      if (!name.is_string()) continue;
      SourcePos pos = i < tools->items.size() ? tools->items[i].text_pos : tools->pos;
      std::string_view text = name.as_string();
      std::size_t dot = text.find('.');
      tool(text.substr(0, dot), dot == text.npos ? std::string_view() : text.substr(dot + 1), pos);
    }
  }

 private:
  static bool tool_writes_not(const NamedSettings* tool, std::string_view function) {
    if (!tool) return false;
    if (tool->kind == "files") return function == "write";
    return tool->kind == "table" &&
           (function == "begin" || function == "put" || function == "finish" || function == "tidy");
  }
  void report(ErrorCode code, SourcePos pos, std::string message) {
    out_.error(code, pos, std::move(message));
  }

  const VerifyContext& context_;
  Diagnostics& out_;
  std::vector<std::string_view> tools_;
  std::vector<std::string_view> models_;
  std::vector<std::string_view> plans_;
};

}  // namespace

void rule_targets(const VerifyContext& context, const PlanFacts&, Diagnostics& out) {
  Targets targets(context, out);
  for (const NamedSettings& model : context.plan.models) {
    if (!model.inherited) targets.first_of(model);
  }
  for (const Step& step : context.plan.steps) {
    switch (step.op) {
      case OperatorKind::kTool:
        if (!step.target.empty()) targets.tool(step.target, step.function, step.target_pos);
        break;
      case OperatorKind::kLlm:
        targets.model(step);
        targets.offered(step);
        break;
      case OperatorKind::kPlan:
        targets.sub_plan(step);
        break;
      case OperatorKind::kCode:
      case OperatorKind::kValue:
      case OperatorKind::kWait:
      case OperatorKind::kTable:
        break;
    }
  }
}

}  // namespace sluice
