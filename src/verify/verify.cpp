#include "verify/verify.h"

#include <array>

#include "fmt/format.h"
#include "plan/names.h"
#include "verify/rules.h"

namespace sluice {
namespace {

// Adding a rule is one file under rules/, its line in rules.h, and its row here.
constexpr std::array<Rule, 22> kRules = {
    rule_step_names,   rule_cycles,       rule_fallbacks, rule_targets,      rule_settings,
    rule_types,        rule_arguments,    rule_joins,     rule_repeat_bound, rule_retry_once,
    rule_cache_effect, rule_sql_template, rule_limits,    rule_allowed,      rule_usage,
    rule_grammar,      rule_secrets,      rule_waits,     rule_undo,         rule_allow,
    rule_bulk,         rule_tables};

void verify_one(const VerifyContext& context, Diagnostics& out) {
  PlanFacts facts(context);
  for (Rule rule : kRules) rule(context, facts, out);
  for (const auto& [id, sub_plan] : context.plan.plans) {
    if (!sub_plan) continue;
    auto tools = catalog_within(*sub_plan, context.tools);
    const Plan& outermost = context.outermost ? *context.outermost : context.plan;
    verify_one({*sub_plan, *tools, nullptr, &outermost}, out);
  }
}

std::vector<std::string_view> param_names(const Plan& plan) {
  std::vector<std::string_view> names;
  names.reserve(plan.params.size());
  for (const ParamSpec& param : plan.params) names.push_back(param.id);
  return names;
}

}  // namespace

void verify_plan(const VerifyContext& context, Diagnostics& out) {
  verify_one(context, out);
  out.sort();
}

Value bind_params(const Plan& plan, const Value& given, Diagnostics& out) {
  std::vector<Value::Member> bound;
  for (const ParamSpec& param : plan.params) {
    const Value* value = given.find(param.id);
    if (!value && !param.has_default) {
      out.error(ErrorCode::kParamMissing, param.pos,
                fmt::format("parameter {0} has no value; give --param {0}=...", param.id));
      continue;
    }
    Value chosen = value ? *value : param.default_value;
    if (param.schema && chosen.is_object()) chosen = param.schema->with_defaults(chosen);
    auto violations =
        param.schema ? param.schema->validate(chosen) : std::vector<SchemaViolation>{};
    if (!violations.empty()) {
      out.error(ErrorCode::kParamInvalid, param.pos,
                fmt::format("parameter {}: {}", param.id, describe(violations)));
    }
    bound.emplace_back(param.id, std::move(chosen));
  }
  for (const auto& [name, value] :
       given.is_object() ? given.members() : std::span<const Value::Member>()) {
    if (plan.find_param(name)) continue;
    out.error(ErrorCode::kParamUnknown, {},
              fmt::format("the plan has no parameter {}{}", shown(name),
                          did_you_mean(name, param_names(plan))));
  }
  if (!given.is_object() && !given.is_null()) {
    out.error(ErrorCode::kParamInvalid, {}, "parameters are a JSON object: {\"name\": value}");
  }
  return Value::object(std::move(bound));
}

}  // namespace sluice
