// Plan text to logical plan. YAML (libfyaml, exact positions) or JSON (its subset). Never throws;
// bounded in size, depth and number of nodes; anchors, tags and merge keys are refused.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "plan/diagnostic.h"
#include "plan/logical.h"

namespace sluice {

struct ParseLimits {
  std::size_t max_bytes = 8 << 20;
  std::size_t max_depth = 64;
  std::size_t max_nodes = 1'000'000;
  std::size_t max_steps = 10'000;
};

struct ParseOptions {
  ParseLimits limits;
  // Reads a file named by `plans: {x: {file: F}}`, relative to the plan's folder. Unset: refused.
  std::function<Result<std::string>(std::string_view name)> read_file;
};

struct ParsedPlan {
  PlanPtr plan;             // null when the text could not be understood at all
  Diagnostics diagnostics;  // syntax and form; verify adds meaning
};

ParsedPlan parse_plan(std::string_view text, std::string_view file_name,
                      const ParseOptions& options = {});
// A plan that is already a value (produced by a step, or from JSON). Positions are unknown.
ParsedPlan parse_plan_value(const Value& value, std::string_view file_name,
                            const ParseOptions& options = {});

// Canonical text: JSON with stable key order, or YAML. parse(print(p)) means the same plan.
std::string print_plan_json(const Plan& plan);
std::string print_plan_yaml(const Plan& plan);

}  // namespace sluice
