// Fuzzes plan texts: seeded mutations of real plans, parsed, verified, lowered, printed and parsed
// again. One second by default; SLUICE_FUZZ_SECONDS for longer. A failure prints the text that
// caused it; the same seed gives the same texts. The canary proves that the laws can fail.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "data/json.h"
#include "plan/describe.h"
#include "plan/lower.h"
#include "plan/parse.h"
#include "verify/verify.h"

namespace sluice {
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
  other: {plan: sub, with: {x: 1}, after: [text], join: {draft: {skipped: skip}}}
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

std::string mutate(std::string text, Random& random) {
  for (std::uint64_t edits = 1 + random.below(6); edits > 0; --edits) {
    std::size_t at = random.below(text.size() + 1);
    std::size_t length = std::min<std::size_t>(random.below(20), text.size() - at);
    switch (random.below(6)) {
      case 0:
        text.erase(at, length);
        break;
      case 1:
        text.insert(at, kPieces[random.below(std::size(kPieces))]);
        break;
      case 2:
        text.replace(at, length, kPieces[random.below(std::size(kPieces))]);
        break;
      case 3:
        text.insert(random.below(text.size() + 1), text.substr(at, length));
        break;
      case 4:
        if (at < text.size()) text[at] = static_cast<char>(random.below(256));
        break;
      default: {
        std::string_view other = kSeeds[random.below(std::size(kSeeds))];
        text.insert(at, other.substr(random.below(other.size()), random.below(60)));
      }
    }
    if (text.size() > 20'000) text.resize(20'000);
  }
  return text;
}

std::string describe_plan(const PlanPtr& plan) {
  auto tools = catalog_of(*plan);
  auto physical = lower_plan(plan, *tools);
  return physical ? to_json(describe_physical(**physical)) : physical.error().to_string();
}

using Printer = std::function<std::string(const Plan&)>;

// What is wrong with how this text was treated; nullopt when all laws hold.
std::optional<std::string> broken_law(const std::string& text, const Printer& print) {
  ParsedPlan parsed = parse_plan(text, "fuzz");
  if (!parsed.plan && !parsed.diagnostics.has_errors()) return "no plan and no error";
  auto lines = static_cast<std::uint32_t>(
      1 + std::ranges::count_if(text, [](char c) { return c == '\n' || c == '\r'; }));
  Diagnostics findings = parsed.diagnostics;
  if (parsed.plan) {
    auto tools = catalog_of(*parsed.plan);
    verify_plan({*parsed.plan, *tools, nullptr}, findings);
  }
  for (const Diagnostic& each : findings.all()) {
    if (each.pos.line > lines + 1) return "a finding behind the end: " + each.message;
    if (each.pos.known() && each.pos.column == 0) return "a finding in column 0: " + each.message;
    if (!each.pos.known()) return "a finding without a place: " + each.message;
    if (each.message.empty() || !valid_utf8(each.message)) return "a finding without words";
  }
  if (!parsed.plan || findings.has_errors()) return std::nullopt;
  std::string expected = describe_plan(parsed.plan);
  if (!expected.starts_with("{")) return "verified, but not lowered: " + expected;
  ParsedPlan again = parse_plan(print(*parsed.plan), "again");
  if (again.diagnostics.has_errors()) {
    return "its own text is refused: " + again.diagnostics.all()[0].message;
  }
  if (describe_plan(again.plan) != expected) return "its own text means something else";
  return std::nullopt;
}

// The first broken law among mutations of the seeds, with the text that broke it.
std::optional<std::string> fuzz(std::uint64_t seed, double seconds, std::uint64_t most_texts,
                                const Printer& print) {
  Random random(seed);
  SteadyNs end = system_clock().steady_ns() +
                 static_cast<SteadyNs>(seconds * static_cast<double>(kNsPerSecond));
  std::vector<std::string> pool(std::begin(kSeeds), std::end(kSeeds));
  for (std::uint64_t i = 0; i < most_texts && system_clock().steady_ns() < end; ++i) {
    std::string text = mutate(pool[random.below(pool.size())], random);
    if (auto law = broken_law(text, print)) return *law + "\n--- text:\n" + text;
    // Some mutations are kept, so that later ones go further from the seeds.
    if (pool.size() < 64) {
      pool.push_back(std::move(text));
    } else if (random.below(50) == 0) {
      std::size_t first = std::size(kSeeds);  // the seeds stay
      pool[first + random.below(pool.size() - first)] = std::move(text);
    }
  }
  return std::nullopt;
}

double seconds_wanted() {
  const char* text = std::getenv("SLUICE_FUZZ_SECONDS");
  double seconds = text ? std::atof(text) : 0;
  return seconds > 0 ? seconds : 1;
}

std::string print_both(const Plan& plan) {
  return plan.steps.size() % 2 == 0 ? print_plan_yaml(plan) : print_plan_json(plan);
}

TEST(PlanFuzz, EveryTextIsTreatedWell) {
  std::uint64_t seed = seconds_wanted() > 1 ? system_seed() : 1;
  auto found = fuzz(seed, seconds_wanted(), ~std::uint64_t{0}, print_both);
  EXPECT_FALSE(found) << "seed " << seed << ": " << *found;
}

TEST(PlanFuzz, TheSeedsThemselvesHoldAllLaws) {
  for (std::string_view seed : kSeeds) {
    auto law = broken_law(std::string(seed), print_both);
    EXPECT_FALSE(law) << *law << "\n" << seed;
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
  EXPECT_TRUE(fuzz(1, 60, 20'000, forgetful));
}

}  // namespace
}  // namespace sluice
