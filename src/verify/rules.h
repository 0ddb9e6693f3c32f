// The rules of verification, one file each under rules/. A rule reads the plan and the facts and
// reports what it finds; it changes nothing. The table that runs them is in verify.cpp.
#pragma once

#include "plan/diagnostic.h"
#include "verify/facts.h"
#include "verify/verify.h"

namespace sluice {

using Rule = void (*)(const VerifyContext& context, const PlanFacts& facts, Diagnostics& out);

void rule_step_names(const VerifyContext& context, const PlanFacts& facts, Diagnostics& out);
void rule_cycles(const VerifyContext& context, const PlanFacts& facts, Diagnostics& out);
void rule_fallbacks(const VerifyContext& context, const PlanFacts& facts, Diagnostics& out);
void rule_targets(const VerifyContext& context, const PlanFacts& facts, Diagnostics& out);
void rule_settings(const VerifyContext& context, const PlanFacts& facts, Diagnostics& out);
void rule_types(const VerifyContext& context, const PlanFacts& facts, Diagnostics& out);
void rule_arguments(const VerifyContext& context, const PlanFacts& facts, Diagnostics& out);
void rule_joins(const VerifyContext& context, const PlanFacts& facts, Diagnostics& out);
void rule_bulk(const VerifyContext& context, const PlanFacts& facts, Diagnostics& out);
void rule_repeat_bound(const VerifyContext& context, const PlanFacts& facts, Diagnostics& out);
void rule_retry_once(const VerifyContext& context, const PlanFacts& facts, Diagnostics& out);
void rule_cache_effect(const VerifyContext& context, const PlanFacts& facts, Diagnostics& out);
void rule_sql_template(const VerifyContext& context, const PlanFacts& facts, Diagnostics& out);
void rule_limits(const VerifyContext& context, const PlanFacts& facts, Diagnostics& out);
void rule_allowed(const VerifyContext& context, const PlanFacts& facts, Diagnostics& out);
void rule_allow(const VerifyContext& context, const PlanFacts& facts, Diagnostics& out);
void rule_usage(const VerifyContext& context, const PlanFacts& facts, Diagnostics& out);
void rule_grammar(const VerifyContext& context, const PlanFacts& facts, Diagnostics& out);
void rule_waits(const VerifyContext& context, const PlanFacts& facts, Diagnostics& out);
void rule_undo(const VerifyContext& context, const PlanFacts& facts, Diagnostics& out);
void rule_tables(const VerifyContext& context, const PlanFacts& facts, Diagnostics& out);
void rule_secrets(const VerifyContext& context, const PlanFacts& facts, Diagnostics& out);

}  // namespace sluice
