// Fuzzes plan texts: mutations of real plans, parsed, verified, lowered, printed and parsed again.
// The canary proves that the laws can fail.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/json.h"
#include "plan/describe.h"
#include "plan/lower.h"
#include "plan/parse.h"
#include "tests/fuzz/text_fuzz.h"
#include "verify/verify.h"

namespace sluice::test {
namespace {

constexpr std::string_view kSeeds[] = {
    R"(sluice: 1
params: {n: {type: integer, default: 2}}
tools: {sh: {kind: process, command: [echo], stdout: lines}, db: {kind: sql}}
steps:
  a: {value: [1, "null", "2", x y]}
  b: {for_each: "{{ steps.a.output }}", value: "{{ item }}", when: "{{ index > 0 }}"}
  c: {for_each: "{{ steps.b.output }}", tool: sh, with: {args: ["{{ item }}"]}, on_error: skip}
  d: {tool: db.query, with: {sql: select ?, args: ["{{ steps.c.output | length }}"]}}
result: "{{ steps.d.output }}"
)",
    R"(sluice: 1
steps:
  draft:
    llm: default
    with:
      messages:
        - {role: user, content: "again: {{ previous }}"}
    repeat: {until: "{{ output | length > 3 }}", max: 4, delay: 10ms}
    retry: {attempts: 3, on: [external, TIMEOUT], delay: 1s}
    output: {type: object, properties: {k: {type: string}}, required: [k]}
  text:
    value: |
      {% for x in steps.draft.output %}
      - {{ x }}
      {% endfor %}
  other: {plan: sub, with: {x: "{{ steps.draft.output.k }}"}, after: [text],
          join: {draft: {skipped: skip}}}
plans: {sub: {params: {x: {}}, steps: {y: {code: "def main(): return 1"}}}}
result: {a: "{{ steps.text.output }}", b: ~}
)",
    R"({"sluice": 1, "steps": {"p": {"value": {"steps": {}}},
 "q": {"plan": "{{ steps.p.output }}", "limits": {"operators": ["value"], "steps": 2, "tasks": 3},
 "on_error": {"step": "f"}}, "f": {"value": "{{ error.code }}"}}, "budget": {"tokens": 5}})",
};

constexpr std::string_view kPieces[] = {"{{",
                                        "}}",
                                        "{%",
                                        "%}",
                                        "{",
                                        "}",
                                        "[",
                                        "]",
                                        ":",
                                        ": ",
                                        ",",
                                        "- ",
                                        "\n",
                                        "\n  ",
                                        "\n    ",
                                        "\t",
                                        "\"",
                                        "'",
                                        "|",
                                        ">-",
                                        "#",
                                        "&a ",
                                        "*a",
                                        "!!str ",
                                        "<<: *a",
                                        "? ",
                                        "---\n",
                                        "...\n",
                                        "\\u00e9",
                                        "\\\"",
                                        "null",
                                        "true",
                                        "1",
                                        "0x",
                                        "1e999",
                                        ".inf",
                                        "steps.a.output",
                                        "[index]",
                                        "item",
                                        "when: ",
                                        "join: {a: {skipped: skip}}",
                                        "for_each: ",
                                        "on_error: {step: a}",
                                        "value: ",
                                        "tool: sh",
                                        "{env: X}",
                                        "$ref",
                                        "\"#/schemas/a\"",
                                        "\xEF\xBB\xBF",
                                        "\xff",
                                        "\r\n",
                                        "\r",
                                        "%YAML 1.1\n",
                                        "@",
                                        "`",
                                        "{a: {a: {a: ",
                                        "[[[[[[",
                                        "          ",
                                        "after: [a]",
                                        "{type: object}",
                                        "limits: {}"};

std::string describe_plan(const PlanPtr& plan) {
  auto tools = catalog_of(*plan);
  auto physical = lower_plan(plan, *tools);
  return physical ? to_json(describe_physical(**physical)) : physical.error().to_string();
}

using Printer = std::function<std::string(const Plan&)>;

Verdict broken(std::string law) { return {.broken_law = std::move(law), .accepted = false}; }

Verdict judge(const std::string& text, const Printer& print) {
  ParsedPlan parsed = parse_plan(text, "fuzz");
  if (!parsed.plan && !parsed.diagnostics.has_errors()) return broken("no plan and no error");
  auto lines = static_cast<std::uint32_t>(
      1 + std::ranges::count_if(text, [](char c) { return c == '\n' || c == '\r'; }));
  Diagnostics findings = parsed.diagnostics;
  if (parsed.plan) {
    auto tools = catalog_of(*parsed.plan);
    verify_plan({*parsed.plan, *tools, nullptr}, findings);
  }
  for (const Diagnostic& each : findings.all()) {
    if (each.pos.line > lines + 1) return broken("a finding behind the end: " + each.message);
    if (!each.pos.known()) return broken("a finding without a place: " + each.message);
    if (each.pos.column == 0) return broken("a finding in column 0: " + each.message);
    if (each.message.empty() || !valid_utf8(each.message)) return broken("a finding without words");
  }
  if (!parsed.plan || findings.has_errors()) return {};
  std::string expected = describe_plan(parsed.plan);
  if (!expected.starts_with("{")) return broken("verified, but not lowered: " + expected);
  ParsedPlan again = parse_plan(print(*parsed.plan), "again");
  if (again.diagnostics.has_errors()) {
    return broken("its own text is refused: " + again.diagnostics.all()[0].message);
  }
  if (describe_plan(again.plan) != expected) return broken("its own text means something else");
  return {.broken_law = std::nullopt, .accepted = true};
}

TextFuzz plan_fuzz(const Printer& print) {
  return {kSeeds, kPieces, [print](const std::string& text) { return judge(text, print); }};
}

std::string print_both(const Plan& plan) {
  return plan.steps.size() % 2 == 0 ? print_plan_yaml(plan) : print_plan_json(plan);
}

TEST(PlanFuzz, EveryTextIsTreatedWell) {
  auto found = run_fuzz(plan_fuzz(print_both), fuzz_limits());
  EXPECT_EQ(found.failure, std::nullopt);
  EXPECT_GT(found.texts, 10u);
  RecordProperty("texts", std::to_string(found.texts));
}

TEST(PlanFuzz, TheSeedsThemselvesHoldAllLaws) {
  for (std::string_view seed : kSeeds) {
    Verdict verdict = judge(std::string(seed), print_both);
    EXPECT_EQ(verdict.broken_law, std::nullopt) << seed;
    EXPECT_TRUE(verdict.accepted) << seed;
  }
}

TEST(PlanFuzz, TheCanaryIsCaught) {
  // A printer that forgets to quote one word must be found.
  auto forgetful = [](const Plan& plan) {
    std::string text = print_plan_yaml(plan);
    if (std::size_t at = text.find("\"null\""); at != std::string::npos)
      text.replace(at, 6, "null");
    return text;
  };
  auto found = run_fuzz(plan_fuzz(forgetful), {.seed = 1, .seconds = 60, .texts = 20'000});
  EXPECT_NE(found.failure, std::nullopt);
}

}  // namespace
}  // namespace sluice::test
