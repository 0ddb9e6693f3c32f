// Shapes whose calls fail: retries, stand-ins, sagas that are undone, budgets that run out.

#include <fmt/format.h>

#include "simulate/shape_texts.h"

namespace sluice::shapes {
namespace {

std::string retry(Random& random) {
  return fmt::format("retry: {{attempts: {}, delay: {}ms, factor: 2, jitter: 0.3}}",
                     between(random, 2, 4), between(random, 5, 200));
}

}  // namespace

ShapeText retries(Random& random) {
  constexpr std::string_view kCalls[] = {"get", "put", "charge", "calc", "look"};
  constexpr std::string_view kRules[] = {"skip", "{value: -1}", "{value: \"{{ item }}\"}"};
  PlanText plan;
  const std::string_view call = any_of(random, kCalls);
  plan.step(fmt::format("rows: {{tool: t.list, with: {{n: {}}}, {}}}", between(random, 1, 6),
                        retry(random)));
  plan.step(
      fmt::format("a: {{for_each: \"{{{{ steps.rows.output }}}}\", tool: t.{}, with: {{x: \"{{{{ "
                  "item }}}}\"}}, {}, "
                  "on_error: {}}}",
                  call, retry(random), any_of(random, kRules)));
  plan.step(
      fmt::format("b: {{for_each: \"{{{{ steps.a.output }}}}\", tool: t.test, with: {{x: \"{{{{ "
                  "item }}}}\"}}, {}, "
                  "on_error: {}, timeout: {}ms}}",
                  retry(random), any_of(random, kRules), between(random, 300, 900)));
  plan.step(fmt::format(
      "c: {{tool: t.put, with: {{x: \"{{{{ steps.b.output | present | sum }}}}\"}}, {}}}",
      retry(random)));
  return {plan.done("[\"{{ steps.b.output }}\", \"{{ steps.c.output }}\"]"), call != "look", {}};
}

ShapeText fallback(Random& random) {
  constexpr std::string_view kFirst[] = {"test", "get", "put"};
  constexpr std::string_view kStandIn[] = {"put", "charge", "calc"};
  PlanText plan;
  const bool mapped = chance(random, 0.6);
  if (mapped) {
    plan.step(fmt::format("rows: {{tool: t.list, with: {{n: {}}}}}", between(random, 1, 6)));
    plan.step(
        fmt::format("a: {{for_each: \"{{{{ steps.rows.output }}}}\", tool: t.{}, with: {{x: \"{{{{ "
                    "item }}}}\"}}, "
                    "on_error: {{step: b}}}}",
                    any_of(random, kFirst)));
    plan.step(fmt::format(
        "b: {{tool: t.{}, with: {{x: \"{{{{ item }}}}\", why: \"{{{{ error.code }}}}\"}}}}",
        any_of(random, kStandIn)));
  } else {
    plan.step(fmt::format("a: {{tool: t.{}, with: {{x: {}}}, on_error: {{step: b}}}}",
                          any_of(random, kFirst), between(random, 1, 40)));
    plan.step(fmt::format("b: {{tool: t.{}, with: {{x: 4, why: \"{{{{ error.code }}}}\"}}}}",
                          any_of(random, kStandIn)));
  }
  plan.step(fmt::format("c: {{tool: t.put, with: {{x: \"{{{{ steps.a.output{} }}}}\"}}}}",
                        mapped ? " | sum" : ""));
  return {plan.done("[\"{{ steps.a.output }}\", \"{{ steps.c.output }}\"]"), true, {}};
}

ShapeText saga(Random& random) {
  constexpr std::string_view kCalls[] = {"reserve", "ship", "put", "reserve"};
  constexpr std::string_view kLast[] = {"test", "calc", "pay"};
  PlanText plan;
  plan.key("undo: true");
  const int bookings = between(random, 1, 4);
  plan.step("go: {tool: t.get, with: {x: 1}}");
  std::string last = "go";
  const bool in_order = chance(random, 0.5);
  for (int i = 0; i < bookings; ++i) {
    plan.step(fmt::format("book{}: {{tool: t.{}, with: {{x: \"{{{{ steps.{}.output + {} }}}}\"}}}}",
                          i, any_of(random, kCalls), in_order ? last : "go", i));
    last = fmt::format("book{}", i);
  }
  if (chance(random, 0.4)) {
    plan.step(fmt::format("rows: {{tool: t.list, with: {{n: {}}}}}", between(random, 1, 4)));
    plan.step(
        "each: {for_each: \"{{ steps.rows.output }}\", tool: t.reserve, with: {x: \"{{ item "
        "}}\"}}");
  }
  plan.step(fmt::format("last: {{tool: t.{}, with: {{x: \"{{{{ steps.{}.output + {} }}}}\"}}}}",
                        any_of(random, kLast), last, between(random, 0, 30)));
  return {plan.done("\"{{ steps.last.output }}\""), true, {}};
}

ShapeText budget(Random& random) {
  PlanText plan;
  const int calls = between(random, 2, 9);
  constexpr std::string_view kCalls[] = {"put", "calc", "charge"};
  if (chance(random, 0.5)) {
    plan.key(fmt::format("budget: {{calls: {}}}", calls));
  } else {
    plan.key(fmt::format("budget: {{tokens: {}}}", calls * 20));
  }
  plan.step(fmt::format("rows: {{tool: t.list, with: {{n: {}}}}}", between(random, 1, 8)));
  plan.step(
      "said: {for_each: \"{{ steps.rows.output }}\", llm: default, with: {prompt: \"say {{ item "
      "}}\"}}");
  plan.step(fmt::format(
      "a: {{for_each: \"{{{{ steps.rows.output }}}}\", tool: t.{}, with: {{x: \"{{{{ item "
      "}}}}\"}}}}",
      any_of(random, kCalls)));
  return {plan.done("\"{{ steps.a.output }}\""), false, {}};
}

}  // namespace sluice::shapes
