#include "host/resources/admit.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "data/json.h"
#include "host/resources/cost_inputs.h"
#include "plan/lower.h"
#include "plan/parse.h"
#include "plan/physical_codec.h"
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

// A model often gives its plan as text.
Result<Value> plan_value(const AdmitPlan& request) {
  if (!request.plan.is_string()) return request.plan;
  auto parsed = parse_json(request.plan.as_string());
  if (!parsed)
    return rejected(request, fmt::format("it is text, but not JSON: {}", parsed.error().message()));
  return parsed;
}

std::string name_of(const AdmitPlan& request) {
  return fmt::format("plan of step {}", request.step->logical.id);
}

// `params`: bound. Its steps are those that were checked, or fewer.
Result<PhysicalPlanPtr> optimized(const PlanPtr& plan, const PlanScope& scope, Resources& resources,
                                  const Value& params, const AdmitOptions& options) {
  if (options.optimizer.off) return lower_plan(plan, scope);
  const CostInputs cost = make_cost_inputs(scope, resources, options.history, &params);
  auto made = optimize_plan({.plan = plan,
                             .tools = scope,
                             .params = &params,
                             .cost = cost,
                             .settings = options.optimizer});
  if (!made) return std::unexpected(made.error());
  return std::move(made->physical);
}

}  // namespace

Result<PhysicalPlanPtr> read_adopted(const AdmitPlan& request, const Value& recorded) {
  auto value = plan_value(request);
  if (!value) return std::unexpected(value.error());
  ParsedPlan parsed = parse_plan_value(*value, name_of(request));
  if (parsed.plan == nullptr) {
    return fail(ErrorCode::kJournalDamaged,
                fmt::format("the {} that the run went on with cannot be read: {}", name_of(request),
                            first_findings(parsed.diagnostics)));
  }
  return decode_physical(recorded, parsed.plan);
}

Result<AdmittedPlan> adopt_plan(const AdmitPlan& request, const Value& recorded,
                                const PlanScope& parent, Resources& resources) {
  auto plan = read_adopted(request, recorded);
  if (!plan) return std::unexpected(plan.error());
  const PlanScope* scope = resources.add_produced((*plan)->logical, parent, request.limits);
  return AdmittedPlan{std::move(*plan), scope};
}

Result<AdmittedPlan> admit_plan(const AdmitPlan& request, const PlanScope& parent,
                                Resources& resources, const AdmitOptions& options) {
  auto value = plan_value(request);
  if (!value) return std::unexpected(value.error());
  if (!value->is_object()) {
    return rejected(request, fmt::format("a plan is a map, not {}", kind_name(value->kind())));
  }
  for (std::string_view own : {"tools", "models", "plans"}) {
    if (value->find(own) != nullptr) {
      return rejected(request,
                      fmt::format("a produced plan brings no `{}` of its own; it uses what "
                                  "`limits` lists",
                                  own));
    }
  }
  ParsedPlan parsed = parse_plan_value(*value, name_of(request));
  if (parsed.plan == nullptr || parsed.diagnostics.has_errors()) {
    return rejected(request, first_findings(parsed.diagnostics));
  }
  const PlanPtr& plan = parsed.plan;
  const PlanScope* scope = resources.add_produced(plan, parent, request.limits);
  Diagnostics findings;
  verify_plan({*plan, *scope, &request.limits}, findings);
  Value params;
  if (!findings.has_errors()) params = bind_params(*plan, request.args, findings);
  if (findings.has_errors()) return rejected(request, first_findings(findings));
  auto physical = optimized(plan, *scope, resources, params, options);
  if (!physical) return rejected(request, physical.error().message());
  return AdmittedPlan{std::move(*physical), scope};
}

}  // namespace sluice
