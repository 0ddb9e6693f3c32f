#include "simulate/plan_shapes.h"

#include <fmt/format.h>

#include <array>
#include <map>
#include <utility>

#include "base/ensure.h"
#include "plan/lower.h"
#include "plan/parse.h"
#include "plan/physical_codec.h"
#include "simulate/shape_texts.h"
#include "simulate/sim_functions.h"
#include "verify/verify.h"

namespace sluice {
namespace {

constexpr auto kShapes = std::to_array<PlanShape>({
    {"chain", shapes::chain},         {"wide_map", shapes::wide_map},
    {"map_chain", shapes::map_chain}, {"diamond", shapes::diamond},
    {"retries", shapes::retries},     {"repeat", shapes::repeat},
    {"sub_plans", shapes::sub_plans}, {"produced", shapes::produced},
    {"agent", shapes::agent},         {"stream", shapes::stream},
    {"waits", shapes::waits},         {"approval", shapes::approval},
    {"saga", shapes::saga},           {"budget", shapes::budget},
    {"fallback", shapes::fallback},   {"garden", shapes::garden},
    {"nested", shapes::nested},       {"branches", shapes::branches},
    {"rows", shapes::rows},
});

std::string findings_text(const Diagnostics& findings) {
  std::string text;
  for (const Diagnostic& finding : findings.all()) {
    if (finding.severity == Severity::kError) {
      text += format_diagnostic(finding, {"plan"}) + "\n";
    }
  }
  return text;
}

}  // namespace

std::span<const PlanShape> plan_shapes() { return kShapes; }

Result<SimPlanPtr> sim_plan_of(std::string name, ShapeText shape) {
  auto made = std::make_shared<SimPlan>();
  made->name = std::move(name);
  made->shape = std::move(shape);
  ParsedPlan parsed = parse_plan(made->shape.text, "plan");
  if (!parsed.plan || parsed.diagnostics.has_errors()) {
    return fail(ErrorCode::kPlanSyntax, findings_text(parsed.diagnostics));
  }
  made->logical = parsed.plan;
  made->catalog = sim_catalog(*parsed.plan);
  Diagnostics findings;
  verify_plan({*parsed.plan, *made->catalog}, findings);
  made->params = bind_params(*parsed.plan, Value::object({}), findings);
  if (findings.has_errors()) return fail(ErrorCode::kPlanSyntax, findings_text(findings));
  Result<PhysicalPlanPtr> lowered = lower_plan(parsed.plan, *made->catalog);
  if (!lowered) return std::unexpected(lowered.error());
  made->physical = *lowered;
  made->encoded = encode_physical(**lowered);
  return made;
}

SimPlanPtr sim_plan(std::size_t shape, std::uint32_t variant) {
  thread_local std::map<std::pair<std::size_t, std::uint32_t>, SimPlanPtr> made;
  SimPlanPtr& plan = made[{shape, variant}];
  if (plan) return plan;
  Random random(shape * 1'000'003 + variant);
  const PlanShape& of = kShapes[shape];
  Result<SimPlanPtr> built = sim_plan_of(fmt::format("{}/{}", of.name, variant), of.make(random));
  SLUICE_ENSURE(built.has_value(), built ? "" : built.error().message());
  plan = *built;
  return plan;
}

}  // namespace sluice
