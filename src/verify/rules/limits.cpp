// LIMITS_MISSING and LIMITS_UNUSED: a produced plan has limits, and nothing else has. What the
// limits name is there.
#include "fmt/format.h"
#include "plan/names.h"
#include "verify/rules.h"

namespace sluice {
namespace {

void names_exist(const Limits& limits, const VerifyContext& context, Diagnostics& out) {
  std::vector<std::string_view> tools;
  tools.reserve(context.plan.tools.size());
  for (const NamedSettings& tool : context.plan.tools) tools.push_back(tool.id);
  for (const std::string& name : limits.tools) {
    std::string_view tool = std::string_view(name).substr(0, name.find('.'));
    std::string_view function = tool.size() < name.size()
                                    ? std::string_view(name).substr(tool.size() + 1)
                                    : std::string_view();
    bool known = context.plan.find_tool(tool) != nullptr;
    if (known && !function.empty() && context.tools.complete(tool)) {
      known = context.tools.find(tool, function) != nullptr;
    }
    if (known) continue;
    out.error(ErrorCode::kToolUnknown, limits.pos,
              fmt::format("limits name the tool {}, which is not there{}", shown(name),
                          did_you_mean(tool, tools)));
  }
  for (const std::string& model : limits.models) {
    if (model == "default" || context.plan.find_model(model)) continue;
    out.error(ErrorCode::kModelUnknown, limits.pos,
              fmt::format("limits name the model {}, which is not there", shown(model)));
  }
}

}  // namespace

void rule_limits(const VerifyContext& context, const PlanFacts&, Diagnostics& out) {
  for (const Step& step : context.plan.steps) {
    if (step.produced_plan && !step.limits) {
      out.error(ErrorCode::kLimitsMissing, step.op_pos,
                "a produced plan needs limits: {operators: [...], steps: 20, tasks: 500, ...}");
    }
    if (!step.limits) continue;
    if (!step.produced_plan && step.op_pos.known()) {
      out.error(ErrorCode::kLimitsUnused, step.limits->pos,
                fmt::format("{} runs no produced plan; remove limits", step.id));
    }
    // Inside a produced plan they are compared with what its parent allows.
    if (!context.limits) names_exist(*step.limits, context, out);
  }
}

}  // namespace sluice
