// Shapes with plans inside plans, loops, models that call tools, and people.

#include <fmt/format.h>

#include "simulate/shape_texts.h"

namespace sluice::shapes {

ShapeText repeat(Random& random) {
  constexpr std::string_view kCalls[] = {"get", "put", "charge", "look", "reserve"};
  PlanText plan;
  const std::string_view call = any_of(random, kCalls);
  const std::string delay =
      chance(random, 0.6) ? fmt::format(", delay: {}ms", between(random, 1, 3000)) : "";
  const std::string rounds =
      fmt::format("repeat: {{until: \"{{{{ output % {} == 0 or round >= {} }}}}\", max: {}{}}}",
                  between(random, 2, 5), between(random, 2, 5), between(random, 5, 6), delay);
  plan.step(fmt::format(
      "a: {{tool: t.{}, with: {{x: \"{{{{ previous or 1 }}}}\", n: \"{{{{ round }}}}\"}}, "
      "{}}}",
      call, rounds));
  plan.step(fmt::format("b: {{tool: t.{}, with: {{x: \"{{{{ steps.a.output }}}}\"}}}}",
                        chance(random, 0.5) ? "pay" : "put"));
  return {plan.done("\"{{ steps.b.output }}\""), call != "look", {}};
}

ShapeText sub_plans(Random& random) {
  constexpr std::string_view kCalls[] = {"put", "charge", "pay", "reserve"};
  PlanText plan;
  const bool nested = chance(random, 0.3);
  const bool limited = chance(random, 0.3);
  plan.key("plans:");
  if (nested) {
    plan.key("  inner:");
    plan.key("    params: {x: {type: integer}}");
    plan.key("    steps: {a: {tool: t.put, with: {x: \"{{ params.x }}\"}}}");
    plan.key("    result: \"{{ steps.a.output }}\"");
  }
  plan.key("  sub:");
  plan.key("    params: {x: {type: integer}}");
  plan.key("    steps:");
  plan.key("      a: {tool: t.get, with: {x: \"{{ params.x }}\"}}");
  plan.key(fmt::format("      b: {{tool: t.{}, with: {{x: \"{{{{ steps.a.output }}}}\"}}}}",
                       any_of(random, kCalls)));
  plan.key("    result: \"{{ steps.a.output + steps.b.output }}\"");
  plan.step(fmt::format("rows: {{tool: t.list, with: {{n: {}}}}}", between(random, 1, 5)));
  plan.step(fmt::format(
      "each: {{for_each: \"{{{{ steps.rows.output }}}}\", plan: sub, with: {{x: \"{{{{ item "
      "}}}}\"}}{}{}}}",
      limited ? fmt::format(", timeout: {}ms, on_error: skip", between(random, 20, 400)) : "",
      chance(random, 0.3) ? ", concurrency: 2" : ""));
  if (nested) plan.step("one: {plan: inner, with: {x: 5}}");
  plan.step("told: {tool: t.put, with: {x: \"{{ steps.each.output | present | sum }}\"}}");
  return {plan.done("[\"{{ steps.each.output }}\", \"{{ steps.told.output }}\"]"), !limited, {}};
}

ShapeText produced(Random& random) {
  PlanText plan;
  const bool drafted = chance(random, 0.5);
  plan.step(fmt::format("p: {{tool: t.{}, with: {{kind: {}}}}}",
                        drafted ? "draft_plan" : "make_plan", between(random, 0, 5)));
  plan.step(fmt::format(
      "run: {{plan: \"{{{{ steps.p.output }}}}\", with: {{x: {}}}, limits: {{operators: [tool, "
      "value], "
      "tools: [t.put, t.charge, t.get, t.list], steps: 6, tasks: 30, budget: {{calls: 20}}}}{}}}",
      between(random, 1, 30), chance(random, 0.5) ? ", on_error: {value: 0}" : ""));
  plan.step("told: {tool: t.pay, with: {x: \"{{ steps.run.output }}\"}}");
  return {plan.done("[\"{{ steps.run.output }}\", \"{{ steps.told.output }}\"]"), !drafted, {}};
}

ShapeText agent(Random& random) {
  PlanText plan;
  const bool sampled = chance(random, 0.4);
  const std::string sampling = sampled ? ", temperature: 1" : "";
  const std::string task = fmt::format(
      "llm: default, with: {{prompt: \"do {{{{ {} }}}}\", tools: [t.put, t.charge, t.get, "
      "t.reserve], "
      "turns: {}{}}}, on_error: {{value: none}}",
      "steps.n.output", between(random, 2, 4), sampling);
  plan.step(fmt::format("n: {{tool: t.get, with: {{x: {}}}}}", between(random, 1, 90)));
  plan.step(fmt::format("a: {{{}}}", task));
  if (chance(random, 0.5)) plan.step(fmt::format("b: {{{}}}", task));
  plan.step("told: {tool: t.pay, with: {x: \"{{ steps.a.output }}\"}}");
  return {plan.done("[\"{{ steps.a.output }}\", \"{{ steps.told.output }}\"]"), !sampled, {}};
}

ShapeText waits(Random& random) {
  PlanText plan;
  plan.step(fmt::format("a: {{tool: t.{}, with: {{x: 1}}}}", chance(random, 0.5) ? "put" : "get"));
  plan.step(fmt::format("w: {{wait: {{for: {}s, value: \"{{{{ steps.a.output }}}}\"}}}}",
                        between(random, 0, 90)));
  plan.step(
      fmt::format("u: {{wait: {{until: \"2026-01-01T00:{:02}:00Z\"}}}}", between(random, 0, 9)));
  plan.step("b: {tool: t.pay, with: {x: \"{{ steps.w.output }}\"}, after: [u]}");
  if (chance(random, 0.5)) {
    plan.step(fmt::format("rows: {{tool: t.list, with: {{n: {}}}}}", between(random, 1, 4)));
    plan.step("each: {for_each: \"{{ steps.rows.output }}\", wait: {for: \"{{ item % 7 }}s\"}}");
    plan.step("c: {tool: t.put, with: {x: 2}, after: [each]}");
  }
  return {plan.done("\"{{ steps.b.output }}\""), true, {}};
}

ShapeText approval(Random& random) {
  PlanText plan;
  ShapeText shape;
  shape.signals = {"go"};
  plan.step("a: {tool: t.look, with: {x: 1}}");
  const int way = between(random, 0, 2);
  const std::string limit = way == 0 ? ""
                            : way == 1
                                ? fmt::format(", for: {}s", between(random, 1, 60))
                                : fmt::format(", for: {}s, value: 5", between(random, 1, 60));
  plan.step(
      fmt::format("ok: {{wait: {{signal: go, of: anna, ask: \"pay {{{{ steps.a.output }}}}?\"{}}}, "
                  "output: {{type: "
                  "integer}}{}}}",
                  limit, way == 1 && chance(random, 0.5) ? ", on_error: skip" : ""));
  plan.step(
      "b: {tool: t.pay, with: {x: \"{{ steps.a.output }}\", y: \"{{ steps.ok.output }}\"}, join: "
      "{ok: "
      "{skipped: skip}}}");
  if (chance(random, 0.5)) {
    shape.signals.emplace_back("more");
    plan.step(fmt::format("rows: {{tool: t.list, with: {{n: {}}}}}", between(random, 1, 3)));
    plan.step(
        "each: {for_each: \"{{ steps.rows.output }}\", wait: {signal: more}, output: {type: "
        "integer}}");
    plan.step("sum: {tool: t.put, with: {x: \"{{ steps.each.output | sum }}\"}}");
  }
  shape.text = plan.done("\"{{ steps.b.output }}\"");
  shape.deterministic = false;
  return shape;
}

}  // namespace sluice::shapes
