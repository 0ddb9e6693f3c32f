// SQL_TEMPLATE: SQL text is literal; values go through bound arguments.
#include <algorithm>

#include "verify/rules.h"

namespace sluice {
namespace {

bool takes_sql(const Step& step, const VerifyContext& context, const PlanFacts& facts) {
  if (step.op != OperatorKind::kTool) return false;
  if (const NamedSettings* tool = context.plan.find_tool(step.target)) return tool->kind == "sql";
  // A produced plan does not show the tool's kind: its functions tell.
  const FunctionSpec* spec = facts.function_of(step);
  return spec && (spec->name == "query" || spec->name == "exec") && spec->input &&
         spec->input->type().requires_property("sql");
}

}  // namespace

void rule_sql_template(const VerifyContext& context, const PlanFacts& facts, Diagnostics& out) {
  for (const Step& step : context.plan.steps) {
    if (!takes_sql(step, context, facts)) continue;
    const Binding* sql = step.with.find("sql");
    if (!sql || sql->broken || sql->as_constant()) continue;
    std::size_t expression = std::min(sql->text.find("{{"), sql->text.find("{%"));
    out.error(ErrorCode::kSqlTemplate,
              expression == std::string::npos ? sql->pos : sql->position_at(expression),
              "SQL is literal; write ? here and put the expression into args");
  }
}

}  // namespace sluice
