#include "host/admit.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "data/json.h"
#include "plan/lower.h"
#include "plan/parse.h"
#include "verify/verify.h"

namespace sluice {
namespace {

std::unexpected<Error> rejected(const AdmitPlan& request, const std::string& why) {
  return std::unexpected(Error(
      ErrorCode::kPlanRejected,
      fmt::format("the plan that step {} was given is refused: {}", request.step->logical.id, why),
      request.step->logical.pos));
}

std::string first_findings(const Diagnostics& findings) {
  constexpr std::size_t kMost = 8;
  std::string text;
  std::size_t errors = 0;
  for (const Diagnostic& finding : findings.all()) {
    if (finding.severity != Severity::kError) continue;
    if (++errors > kMost) continue;
    if (!text.empty()) text += "; ";
    text += fmt::format("{} {}", error_code_info(finding.code).name, finding.message);
  }
  if (errors > kMost) text += fmt::format("; and {} more", errors - kMost);
  return text;
}

// What the limits list of the parent's tools and models, put where the plan's own would stand, so
// that the same rules check a produced plan as any other.
void lend_names(Plan& plan, const PlanScope& parent, const Limits& limits) {
  for (const PlanScope* scope = &parent; scope != nullptr; scope = scope->parent()) {
    for (const NamedSettings& tool : scope->plan().tools) {
      const bool named = std::ranges::any_of(limits.tools, [&](const std::string& allowed) {
        return allowed == tool.id || allowed.starts_with(tool.id + ".");
      });
      if (named && plan.find_tool(tool.id) == nullptr) plan.tools.push_back(tool);
    }
    for (const NamedSettings& model : scope->plan().models) {
      const bool named = std::ranges::find(limits.models, model.id) != limits.models.end();
      if (named && plan.find_model(model.id) == nullptr) plan.models.push_back(model);
    }
  }
}

// A model often gives its plan as text.
Result<Value> plan_value(const AdmitPlan& request) {
  if (!request.plan.is_string()) return request.plan;
  auto parsed = parse_json(request.plan.as_string());
  if (!parsed) return rejected(request, fmt::format("it is text, but not JSON: {}", parsed.error().message()));
  return parsed;
}

}  // namespace

Result<AdmittedPlan> admit_plan(const AdmitPlan& request, const PlanScope& parent,
                                Resources& resources) {
  auto value = plan_value(request);
  if (!value) return std::unexpected(value.error());
  if (!value->is_object()) {
    return rejected(request, fmt::format("a plan is a map, not {}", kind_name(value->kind())));
  }
  for (std::string_view own : {"tools", "models", "plans"}) {
    if (value->find(own) != nullptr) {
      return rejected(request, fmt::format("a produced plan brings no `{}` of its own; it uses what "
                                           "`limits` lists",
                                           own));
    }
  }
  const std::string name = fmt::format("plan of step {}", request.step->logical.id);
  ParsedPlan parsed = parse_plan_value(*value, name);
  if (parsed.plan == nullptr || parsed.diagnostics.has_errors()) {
    return rejected(request, first_findings(parsed.diagnostics));
  }
  auto plan = std::make_shared<Plan>(*parsed.plan);
  lend_names(*plan, parent, request.limits);
  const PlanScope* scope = resources.add_produced(plan, parent, request.limits);
  Diagnostics findings;
  verify_plan({*plan, *scope, &request.limits}, findings);
  if (!findings.has_errors()) bind_params(*plan, request.args, findings);
  if (findings.has_errors()) return rejected(request, first_findings(findings));
  auto lowered = lower_plan(plan, *scope);
  if (!lowered) return rejected(request, lowered.error().message());
  return AdmittedPlan{*lowered, scope};
}

}  // namespace sluice
