// For tests of passes: optimizes a plan's text with the passes that a test names, and gives the
// rewritten plan back as text, one line a step, with the notes as text too.
//
//   auto done = optimize_text(with_tools("  a: {value: 1}\n"), {"merge_equal_steps"});
//   EXPECT_EQ(done.step("a"), "value 1");
//   EXPECT_THAT(done.notes(), ElementsAre("merge_equal_steps a: ..."));
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/json.h"
#include "fmt/format.h"
#include "fmt/ranges.h"
#include "optimize/optimizer.h"
#include "plan/parse.h"
#include "plan/references.h"
#include "verify/verify.h"

namespace sluice {

// A plan with tools of every effect, a model and two parameters around `steps` (indented by two):
// pay (once), put.exec (idempotent), put.query and web (read), calc (pure), lines (pure, streams).
inline std::string with_tools(std::string_view steps, std::string_view rest = "") {
  return "sluice: 1\n"
         "params: {p: {}, n: {type: integer, default: 3}}\n"
         "tools:\n"
         "  pay: {kind: process, command: pay}\n"
         "  put: {kind: sql, functions: {exec: {effect: idempotent}}}\n"
         "  web: {kind: http, url: 'http://h'}\n"
         "  calc: {kind: process, command: calc, stdout: json, effect: pure}\n"
         "  lines: {kind: process, command: cat, stdout: lines, effect: pure}\n"
         "models: {default: {kind: openai, url: 'http://m', model: small}}\n" +
         std::string(rest) + "steps:\n" + std::string(steps);
}

// A binding as a person would write it on one line.
inline std::string binding_line(const Binding& binding) {
  std::vector<std::string> parts;
  switch (binding.kind) {
    case Binding::Kind::kExpr: {
      if (!binding.text.empty()) return binding.text;
      auto constant = binding.expr.as_constant();
      return constant ? to_json(*constant) : binding.expr.to_string();
    }
    case Binding::Kind::kList:
      for (const Binding& item : binding.items) parts.push_back(binding_line(item));
      return fmt::format("[{}]", fmt::join(parts, ", "));
    case Binding::Kind::kMap:
      for (const auto& [key, member] : binding.members) {
        parts.push_back(key + ": " + binding_line(member));
      }
      return fmt::format("{{{}}}", fmt::join(parts, ", "));
  }
  return "";
}

inline std::string join_action_line(const JoinAction& action) {
  if (action.kind == JoinAction::Kind::kSkip) return "skip";
  return action.kind == JoinAction::Kind::kFail ? "fail" : binding_line(action.value);
}

// "for_each {{ steps.a.output }}; when {{ item.ok }}; llm default {prompt: {{ item.text }}}; join
// a skipped skip; after b". Without the step's id.
inline std::string step_line(const Step& step) {
  std::vector<std::string> parts;
  if (step.for_each) parts.push_back("for_each " + binding_line(*step.for_each));
  if (step.when) parts.push_back("when " + binding_line(*step.when));
  std::string body(operator_name(step.op));
  if (!step.target.empty()) body += " " + step.target;
  if (!step.function.empty()) body += "." + step.function;
  if (step.produced_plan) body += " " + binding_line(*step.produced_plan);
  const Binding& bound = body_of(step);
  if (!bound.members.empty() || step.op == OperatorKind::kValue) body += " " + binding_line(bound);
  parts.push_back(std::move(body));
  for (const auto& [id, rule] : step.joins) {
    std::string line = "join " + id;
    if (rule.states_skipped) line += " skipped " + join_action_line(rule.skipped);
    if (rule.states_failed) line += " failed " + join_action_line(rule.failed);
    parts.push_back(std::move(line));
  }
  for (const auto& after : step.after) parts.push_back("after " + after.value);
  if (step.repeat) parts.push_back("until " + binding_line(step.repeat->until));
  if (step.on_error && step.on_error->kind == OnErrorRule::Kind::kSkip) {
    parts.emplace_back("on_error skip");
  }
  if (step.on_error && step.on_error->kind == OnErrorRule::Kind::kValue) {
    parts.push_back("on_error " + binding_line(step.on_error->value));
  }
  if (step.on_error && step.on_error->kind == OnErrorRule::Kind::kStep) {
    parts.push_back("on_error step " + step.on_error->step);
  }
  return fmt::format("{}", fmt::join(parts, "; "));
}

struct Optimized {
  PlanPtr written;
  OptimizedPlan plan;
  std::string error;  // "" when it went well

  // A plan of the rewritten ones: "" is the outermost, "sub" a plan of its `plans`, and so on.
  const Plan& rewritten(std::string_view path = "") const {
    const Plan* at = plan.rewritten.get();
    while (at && !path.empty()) {
      std::string_view id = path.substr(0, path.find('/'));
      path.remove_prefix(std::min(path.size(), id.size() + 1));
      const PlanPtr* inner = at->find_plan(id);
      at = inner ? inner->get() : nullptr;
    }
    if (!at) throw std::runtime_error("no plan");
    return *at;
  }
  // A step of the rewritten plan (or of its plan `path`); "gone" when it has it no more.
  std::string step(std::string_view id, std::string_view path = "") const {
    const Step* found = rewritten(path).find_step(id);
    return found ? step_line(*found) : "gone";
  }
  std::vector<std::string> ids(std::string_view path = "") const {
    std::vector<std::string> all;
    for (const Step& each : rewritten(path).steps) all.push_back(each.id);
    return all;
  }
  // The whole rewritten plan.
  std::string text() const {
    std::string all;
    for (const Step& each : rewritten().steps) all += each.id + ": " + step_line(each) + "\n";
    return all + "result: " + binding_line(rewritten().result) + "\n";
  }
  // "merge_equal_steps b: same as a: done once"; "merge_equal_steps refused b: ...".
  std::vector<std::string> notes() const {
    std::vector<std::string> all;
    for (const PassNote& note : plan.notes) {
      all.push_back(fmt::format("{}{}{}{}: {}", note.pass, note.refused ? " refused" : "",
                                note.step.empty() ? "" : " ", note.step, note.text));
    }
    return all;
  }
  // Of the physical plan; "ask/sum" for a step of the sub-plan that `ask` calls.
  const PhysicalStep& physical(std::string_view id) const {
    const PhysicalPlan* at = plan.physical.get();
    for (;;) {
      std::string_view name = id.substr(0, id.find('/'));
      id.remove_prefix(std::min(id.size(), name.size() + 1));
      const PhysicalStep* found = nullptr;
      for (const PhysicalStep& each : at->steps) {
        if (each.logical.id == name) found = &each;
      }
      if (!found) throw std::runtime_error("no step " + std::string(name));
      if (id.empty()) return *found;
      at = found->plan.get();
      if (!at) throw std::runtime_error(std::string(name) + " calls no plan");
    }
  }
};

// `only`: the passes that run; empty: all of them. `params`: JSON; "" where they are not known.
inline Optimized optimize_text(std::string_view text, const std::vector<std::string>& only = {},
                               std::string_view params = "", const CostInputs& cost = {}) {
  Optimized done;
  ParsedPlan parsed = parse_plan(text, "plan.yaml");
  done.written = parsed.plan;
  if (!parsed.plan) throw std::runtime_error("the plan cannot be read");
  auto tools = catalog_of(*parsed.plan);
  verify_plan({*parsed.plan, *tools, nullptr}, parsed.diagnostics);
  for (const Diagnostic& each : parsed.diagnostics.all()) {
    if (each.severity == Severity::kError) {
      ADD_FAILURE() << format_diagnostic(each, parsed.plan->files);
    }
  }
  Value bound;
  if (!params.empty()) {
    auto given = parse_json(params);
    if (!given) throw std::runtime_error("the parameters are no JSON");
    Diagnostics findings;
    bound = bind_params(*parsed.plan, *given, findings);
  }
  OptimizerSettings settings;
  for (const PassInfo& pass : optimizer_passes()) {
    bool wanted = only.empty() || std::ranges::find(only, pass.name) != only.end();
    if (!wanted) settings.without.emplace(pass.name);
  }
  CostInputs inputs = cost;
  if (!inputs.params && bound.is_object()) inputs.params = &bound;
  auto made = optimize_plan({.plan = parsed.plan,
                             .tools = *tools,
                             .params = bound.is_object() ? &bound : nullptr,
                             .cost = inputs,
                             .settings = settings});
  if (made) {
    done.plan = *std::move(made);
  } else {
    done.error = made.error().to_string();
    done.plan.rewritten = parsed.plan;
    ADD_FAILURE() << done.error;
  }
  return done;
}

}  // namespace sluice
