// Shapes of calls that depend on each other: chains, maps, flows, diamonds, streams.

#include <fmt/format.h>

#include "simulate/shape_texts.h"

namespace sluice::shapes {

PlanText::PlanText()
    : keys_("sluice: 1\ntools: {t: {kind: python, file: sim.py}}\n"), steps_("steps:\n") {}

PlanText& PlanText::key(std::string_view line) {
  keys_ += fmt::format("{}\n", line);
  return *this;
}

PlanText& PlanText::step(std::string_view line) {
  steps_ += fmt::format("  {}\n", line);
  return *this;
}

std::string PlanText::done(std::string_view result) const {
  return fmt::format("{}{}result: {}\n", keys_, steps_, result);
}

ShapeText chain(Random& random) {
  constexpr std::string_view kCalls[] = {"calc", "get", "put", "pay", "charge", "reserve"};
  PlanText plan;
  ShapeText shape;
  const int steps = between(random, 2, 7);
  const bool looks = chance(random, 0.5);
  shape.deterministic = !looks;
  plan.step(fmt::format("s0: {{tool: t.{}, with: {{x: 1}}}}", looks ? "look" : "get"));
  for (int i = 1; i < steps; ++i) {
    const std::string input = fmt::format("\"{{{{ steps.s{}.output + {} }}}}\"", i - 1, i);
    if (chance(random, 0.2)) {
      plan.step(fmt::format("s{}: {{value: {}}}", i, input));
    } else if (chance(random, 0.1)) {
      plan.step(fmt::format("s{}: {{code: \"def main(x): return x\", with: {{x: {}}}}}", i, input));
    } else {
      plan.step(
          fmt::format("s{}: {{tool: t.{}, with: {{x: {}}}}}", i, any_of(random, kCalls), input));
    }
  }
  shape.text = plan.done(fmt::format("\"{{{{ steps.s{}.output }}}}\"", steps - 1));
  return shape;
}

ShapeText wide_map(Random& random) {
  constexpr std::string_view kCalls[] = {"calc", "put", "pay", "charge", "ship"};
  PlanText plan;
  if (chance(random, 0.5)) plan.key(fmt::format("concurrency: {}", between(random, 1, 4)));
  plan.step(fmt::format("rows: {{tool: t.list, with: {{n: {}}}}}", between(random, 0, 9)));
  const std::string limit =
      chance(random, 0.4) ? fmt::format(", concurrency: {}", between(random, 1, 3)) : "";
  plan.step(fmt::format(
      "done: {{for_each: \"{{{{ steps.rows.output }}}}\", tool: t.{}, with: {{x: \"{{{{ "
      "item }}}}\"}}{}}}",
      any_of(random, kCalls), limit));
  plan.step("told: {tool: t.put, with: {x: \"{{ steps.done.output | sum }}\"}}");
  return {plan.done("[\"{{ steps.done.output }}\", \"{{ steps.told.output }}\"]"), true, {}};
}

ShapeText map_chain(Random& random) {
  constexpr std::string_view kFirst[] = {"get", "look", "calc"};
  constexpr std::string_view kSecond[] = {"put", "charge", "pay"};
  PlanText plan;
  const std::string_view first = any_of(random, kFirst);
  plan.step(fmt::format("rows: {{tool: t.list, with: {{n: {}}}}}", between(random, 1, 7)));
  plan.step(fmt::format(
      "a: {{for_each: \"{{{{ steps.rows.output }}}}\", tool: t.{}, with: {{x: \"{{{{ item "
      "}}}}\"}}}}",
      first));
  plan.step(
      fmt::format("b: {{for_each: \"{{{{ steps.a.output }}}}\", tool: t.{}, with: {{x: \"{{{{ item "
                  "}}}}\"}}{}}}",
                  any_of(random, kSecond), chance(random, 0.3) ? ", concurrency: 1" : ""));
  plan.step(
      "c: {for_each: \"{{ steps.rows.output }}\", value: \"{{ steps.b.output[index] + item }}\"}");
  plan.step("d: {tool: t.put, with: {x: \"{{ steps.c.output | sum }}\"}}");
  return {plan.done("[\"{{ steps.c.output }}\", \"{{ steps.d.output }}\"]"), first != "look", {}};
}

ShapeText diamond(Random& random) {
  constexpr std::string_view kCalls[] = {"put", "pay", "charge", "get"};
  PlanText plan;
  const bool looks = chance(random, 0.3);
  plan.step(fmt::format("a: {{tool: t.{}, with: {{x: {}}}}}", looks ? "look" : "get",
                        between(random, 1, 50)));
  plan.step(
      fmt::format("b: {{tool: t.{}, with: {{x: \"{{{{ steps.a.output }}}}\"}}, when: \"{{{{ "
                  "steps.a.output % 2 == "
                  "0 }}}}\"}}",
                  any_of(random, kCalls)));
  plan.step(
      fmt::format("c: {{tool: t.{}, with: {{x: \"{{{{ steps.a.output }}}}\"}}, on_error: skip}}",
                  chance(random, 0.5) ? "test" : "calc"));
  plan.step(fmt::format(
      "d: {{tool: t.{}, with: {{x: \"{{{{ steps.b.output + steps.c.output }}}}\"}}, join: {{b: "
      "{{skipped: {{value: 7}}}}, c: {{skipped: {}}}}}}}",
      any_of(random, kCalls), chance(random, 0.5) ? "{value: 3}" : "skip"));
  plan.step(
      "e: {tool: t.put, with: {x: \"{{ steps.a.output }}\", y: \"{{ steps.d.status }}\"}, after: "
      "[d]}");
  return {plan.done("[\"{{ steps.d.output }}\", \"{{ steps.e.output }}\"]"), !looks, {}};
}

ShapeText stream(Random& random) {
  PlanText plan;
  constexpr std::string_view kCalls[] = {"put", "calc", "pay", "charge"};
  const int rows = chance(random, 0.05) ? between(random, 257, 300) : between(random, 0, 10);
  plan.step(fmt::format("rows: {{tool: t.rows, with: {{n: {}}}}}", rows));
  // Hundreds of calls would make the seed slow and show nothing that a few do not.
  const std::string_view call = rows > 100 ? "calc" : any_of(random, kCalls);
  plan.step(fmt::format(
      "each: {{for_each: \"{{{{ steps.rows.output }}}}\", tool: t.{}, with: {{x: \"{{{{ "
      "item }}}}\"}}, when: \"{{{{ item % 5 != 0 }}}}\"}}",
      call));
  plan.step("told: {tool: t.put, with: {x: \"{{ steps.each.output | present | sum }}\"}}");
  return {plan.done("[\"{{ steps.each.output }}\", \"{{ steps.told.output }}\"]"), true, {}};
}

}  // namespace sluice::shapes
