// Plans with parameters: produced plans inside of sub-plans, and branches of which a parameter
// reaches some.

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "simulate/shape_texts.h"

namespace sluice::shapes {

ShapeText nested(Random& random) {
  constexpr std::string_view kCalls[] = {"put", "charge", "pay", "reserve"};
  PlanText plan;
  const bool deeper = chance(random, 0.4);
  const bool drafted = chance(random, 0.3);
  plan.key(fmt::format("params: {{x: {{type: integer, default: {}}}}}", between(random, 1, 30)));
  plan.key("plans:");
  if (deeper) {
    plan.key("  outer:");
    plan.key("    params: {x: {type: integer}}");
    plan.key("    plans:");
  }
  const std::string_view in = deeper ? "    " : "";
  auto made = [&](std::string_view line) { plan.key(fmt::format("{}{}", in, line)); };
  made("  made:");
  made("    params: {x: {type: integer}}");
  made("    steps:");
  made(fmt::format("      p: {{tool: t.{}, with: {{kind: \"{{{{ params.x % 3 }}}}\"}}}}",
                   drafted ? "draft_plan" : "make_plan"));
  made(
      "      run: {plan: \"{{ steps.p.output }}\", with: {x: \"{{ params.x }}\"}, limits: "
      "{operators: [tool, value], tools: [t.put, t.charge, t.get, t.list, t.pay], steps: 6, tasks: "
      "30, budget: {calls: 20}}}");
  made(fmt::format("      then: {{tool: t.{}, with: {{x: \"{{{{ steps.run.output }}}}\"}}}}",
                   any_of(random, kCalls)));
  made("    result: \"{{ steps.then.output }}\"");
  if (deeper) {
    plan.key("    steps:");
    plan.key("      a: {plan: made, with: {x: \"{{ params.x + 1 }}\"}}");
    plan.key("      b: {tool: t.put, with: {x: \"{{ steps.a.output }}\"}}");
    plan.key("    result: \"{{ steps.b.output }}\"");
  }
  plan.step(fmt::format("rows: {{tool: t.list, with: {{n: {}}}}}", between(random, 1, 4)));
  plan.step(fmt::format(
      "each: {{for_each: \"{{{{ steps.rows.output }}}}\", plan: {}, with: {{x: \"{{{{ item + "
      "params.x }}}}\"}}{}}}",
      deeper ? "outer" : "made",
      chance(random, 0.4) ? fmt::format(", concurrency: {}", between(random, 1, 2)) : ""));
  plan.step("told: {tool: t.pay, with: {x: \"{{ steps.each.output | present | sum }}\"}}");
  return {plan.done("[\"{{ steps.each.output }}\", \"{{ steps.told.output }}\"]"), !drafted, {}};
}

// Many rows, each with steps that may come in several orders.
ShapeText rows(Random& random) {
  constexpr std::string_view kCalls[] = {"get", "put", "pay", "charge", "reserve", "ship"};
  PlanText plan;
  plan.key(fmt::format("params: {{x: {{type: integer, default: {}}}}}", between(random, 1, 60)));
  plan.key("plans:");
  plan.key("  row:");
  plan.key("    params: {x: {type: integer}}");
  plan.key("    steps:");
  const int steps = between(random, 2, 5);
  std::string sum = "0";
  for (int i = 0; i < steps; ++i) {
    std::string input = fmt::format("params.x + {}", 100 * i);
    // Only of steps that are never skipped.
    const bool reads = i > 1 && chance(random, 0.4);
    if (reads) input = fmt::format("steps.s0.output + {}", i);
    const bool asked = !reads && i > 0 && chance(random, 0.3);
    const std::string when =
        asked ? fmt::format("when: \"{{{{ (params.x + {}) % 3 > 0 }}}}\", ", i) : "";
    plan.key(fmt::format("      s{}: {{{}tool: t.{}, with: {{x: \"{{{{ {} }}}}\"}}}}", i, when,
                         any_of(random, kCalls), input));
    if (!asked) sum += fmt::format(" + steps.s{}.output", i);
  }
  plan.key(fmt::format("    result: \"{{{{ {} }}}}\"", sum));
  plan.step(fmt::format("rows: {{tool: t.list, with: {{n: {}}}}}", between(random, 3, 9)));
  plan.step(fmt::format(
      "each: {{for_each: \"{{{{ steps.rows.output }}}}\", plan: row, with: {{x: \"{{{{ item + "
      "params.x }}}}\"}}, concurrency: {}}}",
      between(random, 1, 3)));
  plan.step("told: {tool: t.pay, with: {x: \"{{ steps.each.output | present | sum }}\"}}");
  return {plan.done("[\"{{ steps.each.output }}\", \"{{ steps.told.output }}\"]"), true, {}};
}

ShapeText branches(Random& random) {
  constexpr std::string_view kCalls[] = {"get", "put", "pay", "charge", "reserve", "ship"};
  PlanText plan;
  plan.key(fmt::format("params: {{x: {{type: integer, default: {}}}}}", between(random, 1, 60)));
  const bool undo = chance(random, 0.3);
  if (undo) plan.key("undo: true");
  plan.step(fmt::format("rows: {{tool: t.list, with: {{n: {}}}}}", between(random, 1, 5)));
  const int branches = between(random, 2, 4);
  std::string sum = "0";
  for (int i = 0; i < branches; ++i) {
    // Every other one depends on the parameter.
    const std::string input = i % 2 == 0 ? "params.x" : fmt::format("{}", 10 + i);
    plan.step(fmt::format("a{}: {{tool: t.{}, with: {{x: \"{{{{ {} + {} }}}}\"}}}}", i,
                          any_of(random, kCalls), input, i));
    if (chance(random, 0.5)) {
      plan.step(fmt::format(
          "b{}: {{for_each: \"{{{{ steps.rows.output }}}}\", tool: t.{}, with: {{x: \"{{{{ item + "
          "steps.a{}.output }}}}\"}}}}",
          i, any_of(random, kCalls), i));
      sum += fmt::format(" + (steps.b{}.output | sum)", i);
    } else {
      sum += fmt::format(" + steps.a{}.output", i);
    }
  }
  plan.step(fmt::format("told: {{tool: t.{}, with: {{x: \"{{{{ {} }}}}\"}}}}",
                        undo ? "test" : "pay", sum));
  std::vector<std::string> signals;
  if (chance(random, 0.4)) {  // one wait after the other for the same signal
    signals.emplace_back("more");
    plan.step("first: {wait: {signal: more}}");
    plan.step("second: {wait: {signal: more}, after: [first]}");
  }
  return {plan.done("\"{{ steps.told.output }}\""), true, std::move(signals)};
}

}  // namespace sluice::shapes
