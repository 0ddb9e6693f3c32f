// PLAN_REJECTED: a produced plan uses only what its parent's limits name.
#include <algorithm>

#include "fmt/format.h"
#include "verify/rules.h"

namespace sluice {
namespace {

bool named(const std::vector<std::string>& list, std::string_view name) {
  return std::ranges::find(list, name) != list.end();
}

class Admission {
 public:
  Admission(const VerifyContext& context, Diagnostics& out)
      : context_(context), limits_(*context.limits), out_(out) {}

  void whole() {
    const Plan& plan = context_.plan;
    if (!plan.tools.empty()) reject(plan.pos, "a produced plan opens no tools of its own");
    if (!plan.models.empty()) reject(plan.pos, "a produced plan opens no models of its own");
    if (!plan.plans.empty()) reject(plan.pos, "a produced plan holds no plans");
    if (plan.steps.size() > limits_.steps) {
      reject(plan.pos,
             fmt::format("it has {} steps and may have {}", plan.steps.size(), limits_.steps));
    }
    if (plan.steps.size() <= limits_.steps && plan.steps.size() > limits_.tasks) {
      reject(plan.pos,
             fmt::format("its {} steps are more than {} tasks", plan.steps.size(), limits_.tasks));
    }
  }

  void step(const Step& step) {
    if (!named(limits_.operators, operator_name(step.op))) {
      reject(step.op_pos,
             fmt::format("{}: operator {} is not allowed", step.id, operator_name(step.op)));
    }
    if (step.op == OperatorKind::kTool) tool(step, step.target, step.function);
    if (step.op == OperatorKind::kLlm) {
      if (!named(limits_.models, step.target)) {
        reject(step.target_pos, fmt::format("{}: model {} is not allowed", step.id, step.target));
      }
      offered(step);
    }
    if (step.op == OperatorKind::kPlan) nested(step);
  }

 private:
  void reject(SourcePos pos, std::string message) {
    out_.error(ErrorCode::kPlanRejected, pos, std::move(message));
  }

  bool tool_allowed(std::string_view tool, std::string_view function) const {
    if (named(limits_.tools, tool)) return true;
    const FunctionSpec* spec = context_.tools.find(tool, function);
    std::string_view full = spec ? std::string_view(spec->name) : function;
    return named(limits_.tools, fmt::format("{}.{}", tool, full));
  }
  void tool(const Step& step, std::string_view tool, std::string_view function) {
    if (tool_allowed(tool, function)) return;
    reject(step.target_pos, fmt::format("{}: tool {}{}{} is not allowed", step.id, tool,
                                        function.empty() ? "" : ".", function));
  }

  void offered(const Step& step) {
    const Binding* tools = step.with.find("tools");
    auto names = tools ? tools->as_constant() : std::nullopt;
    if (!names || !names->is_array()) return;
    for (const Value& name : names->items()) {
      if (!name.is_string()) continue;
      std::string_view text = name.as_string();
      std::size_t dot = text.find('.');
      tool(step, text.substr(0, dot), dot == text.npos ? std::string_view() : text.substr(dot + 1));
    }
  }

  void nested(const Step& step) {
    if (!step.produced_plan) return;  // PLAN_UNKNOWN says that there are none
    if (limits_.depth == 0) {
      reject(step.op_pos,
             fmt::format("{}: a produced plan inside it is not allowed (depth)", step.id));
      return;
    }
    if (!step.limits) return;  // LIMITS_MISSING
    const Limits& own = *step.limits;
    if (own.depth >= limits_.depth) {
      reject(own.pos, fmt::format("{}: depth {} is more than the {} that is left", step.id,
                                  own.depth, limits_.depth - 1));
    }
    for (const std::string& name : own.operators) {
      if (!named(limits_.operators, name))
        reject(own.pos, fmt::format("{}: limits allow operator {}, which is not allowed here",
                                    step.id, name));
    }
    for (const std::string& name : own.models) {
      if (!named(limits_.models, name))
        reject(own.pos,
               fmt::format("{}: limits allow model {}, which is not allowed here", step.id, name));
    }
    for (const std::string& name : own.tools) {
      std::size_t dot = name.find('.');
      bool all = dot == std::string::npos;  // all of a tool is allowed only where all of it is here
      std::string_view text = name;
      bool allowed = all ? named(limits_.tools, name)
                         : tool_allowed(text.substr(0, dot), text.substr(dot + 1));
      if (!allowed)
        reject(own.pos,
               fmt::format("{}: limits allow tool {}, which is not allowed here", step.id, name));
    }
  }

  const VerifyContext& context_;
  const Limits& limits_;
  Diagnostics& out_;
};

}  // namespace

void rule_allowed(const VerifyContext& context, const PlanFacts&, Diagnostics& out) {
  if (!context.limits) return;
  Admission admission(context, out);
  admission.whole();
  for (const Step& step : context.plan.steps) admission.step(step);
}

}  // namespace sluice
