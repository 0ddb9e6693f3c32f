// Checks a plan's text as `sluice check` does: parse, then verify, all findings in one list.
#pragma once

#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "plan/parse.h"
#include "plan/tool_catalog.h"
#include "verify/verify.h"

namespace sluice {

struct Checked {
  PlanPtr plan;
  Diagnostics findings;

  std::vector<std::string> lines(Severity severity) const {
    std::vector<std::string> result;
    for (const Diagnostic& each : findings.all()) {
      if (each.severity != severity) continue;
      std::string place = std::to_string(each.pos.line) + ":" + std::to_string(each.pos.column);
      if (each.pos.file != 0) place = std::to_string(each.pos.file) + "/" + place;
      result.push_back(place + " " + std::string(error_code_info(each.code).name));
    }
    return result;
  }
  std::vector<std::string> errors() const { return lines(Severity::kError); }
  std::vector<std::string> warnings() const { return lines(Severity::kWarning); }
  std::string text() const {
    std::string all;
    for (const Diagnostic& each : findings.all()) {
      all += format_diagnostic(each, plan ? plan->files : std::vector<std::string>{"plan"}) + "\n";
    }
    return all;
  }
};

inline Checked check_text(std::string_view text, const ParseOptions& options = {}) {
  ParsedPlan parsed = parse_plan(text, "plan.yaml", options);
  Checked checked{parsed.plan, std::move(parsed.diagnostics)};
  if (checked.plan) {
    auto tools = catalog_of(*checked.plan);
    verify_plan({*checked.plan, *tools, nullptr}, checked.findings);
  }
  return checked;
}

// Steps that have findings, as a test's parameter. `errors`: "3:14 VALUE_INVALID".
struct WrongSteps {
  const char* name;
  const char* steps;
  std::vector<std::string> errors;
  const char* says = "";  // in the text of the findings
};
inline void PrintTo(const WrongSteps& wrong, std::ostream* out) { *out << wrong.name; }
inline std::string name_of(const ::testing::TestParamInfo<WrongSteps>& info) {
  return info.param.name;
}

// The two lines before and the sections behind the steps of a short test plan.
inline std::string with_frame(std::string_view steps) {
  return "sluice: 1\nsteps:\n" + std::string(steps) +
         "tools:\n"
         "  pay: {kind: process, command: [pay]}\n"
         "  db: {kind: sql}\n"
         "  docs: {kind: files, root: .}\n"
         "  web: {kind: http, url: 'http://127.0.0.1:1'}\n"
         "  tail: {kind: process, command: [cat], stdout: lines, effect: read}\n"
         "params:\n"
         "  p: {}\n"
         "  n: {type: integer, default: 3}\n"
         "plans:\n"
         "  twice: {params: {x: {type: integer}}, steps: {y: {value: '{{ params.x * 2 }}'}}, "
         "result: '{{ steps.y.output }}'}\n";
}

}  // namespace sluice
