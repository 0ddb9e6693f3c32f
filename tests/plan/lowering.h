// For tests of lowering: a plan's text parsed, and lowered with the tools that it names.
#pragma once

#include <gtest/gtest.h>

#include <string_view>

#include "plan/diagnostic.h"
#include "plan/lower.h"
#include "plan/parse.h"
#include "plan/tool_catalog.h"

namespace sluice {

inline PlanPtr parsed(std::string_view text) {
  ParsedPlan plan = parse_plan(text, "p");
  for (const auto& each : plan.diagnostics.all()) ADD_FAILURE() << format_diagnostic(each, {"p"});
  return plan.plan;
}

inline PhysicalPlanPtr lowered(const PlanPtr& plan) {
  auto tools = catalog_of(*plan);
  auto physical = lower_plan(plan, *tools);
  EXPECT_TRUE(physical) << physical.error().to_string();
  return physical ? *physical : nullptr;
}

}  // namespace sluice
