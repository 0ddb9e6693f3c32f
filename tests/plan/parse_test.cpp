// Plan text in: what a beginner would give, limits, and that printed plans mean the same.
#include "plan/parse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/json.h"
#include "plan/describe.h"
#include "plan/lower.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

std::string findings(const ParsedPlan& parsed) {
  std::string all;
  for (const Diagnostic& each : parsed.diagnostics.all()) {
    all += format_diagnostic(each, {"p"}) + "\n";
  }
  return all;
}

struct Wrong {
  const char* name;
  std::string text;
  const char* starts;  // place, code
  const char* says;
};
void PrintTo(const Wrong& wrong, std::ostream* out) { *out << wrong.name; }
class WrongText : public ::testing::TestWithParam<Wrong> {};

TEST_P(WrongText, GivesOneHelpfulSentence) {
  ParsedPlan parsed = parse_plan(GetParam().text, "p");
  std::string all = findings(parsed);
  EXPECT_TRUE(parsed.diagnostics.has_errors());
  EXPECT_EQ(parsed.diagnostics.all().size(), 1U) << all;
  EXPECT_THAT(all, ::testing::StartsWith(GetParam().starts));
  EXPECT_THAT(all, HasSubstr(GetParam().says));
}

std::string deep(std::string_view unit, int times) {
  std::string text = "sluice: 1\nsteps: ";
  for (int i = 0; i < times; ++i) text += unit;
  return text;
}

INSTANTIATE_TEST_SUITE_P(
    Beginner, WrongText,
    ::testing::Values(
        Wrong{"empty", "", "p:1:1: error PLAN_SYNTAX", "the plan is empty"},
        Wrong{"comments_only", "# to do\n", "p:1:1: error PLAN_SYNTAX", "the plan is empty"},
        Wrong{"tabs", "sluice: 1\nsteps:\n\ta: {value: 1}\n", "p:3:1: error PLAN_SYNTAX", "a tab"},
        Wrong{"tabs_behind_spaces", "sluice: 1\nsteps:\n  a:\n  \tvalue: 1\n",
              "p:4:3: error PLAN_SYNTAX", "a tab"},
        Wrong{"pdf", "%PDF-1.7\n%\xE2\xE3\xCF\xD3\n", "p:1:1: error PLAN_SYNTAX", "a PDF document"},
        Wrong{"elf",
              std::string("\x7f"
                          "ELF\x02\x01\0",
                          7),
              "p:1:1: error PLAN_SYNTAX", "a program"},
        Wrong{"gzip", "\x1f\x8b\x08", "p:1:1: error PLAN_SYNTAX", "gzip"},
        Wrong{"model", "GGUF\x03", "p:1:1: error PLAN_SYNTAX", "--model"},
        Wrong{"utf16",
              std::string("\xff\xfe"
                          "s\0l\0",
                          6),
              "p:1:1: error PLAN_SYNTAX", "UTF-8"},
        Wrong{"nul", std::string("sluice: 1\nste\0ps", 16), "p:2:4: error PLAN_SYNTAX", "NUL"},
        Wrong{"latin1", "sluice: 1\n# caf\xe9\nsteps: {}\n", "p:2:6: error PLAN_SYNTAX", "UTF-8"},
        Wrong{"huge", std::string(9 << 20, '#'), "p:1:1: error PLAN_TOO_LARGE", "bytes"},
        Wrong{"deep_lists", deep("[", 100'000), "p:2:71: error PLAN_TOO_LARGE", "deeper than 64"},
        Wrong{"deep_maps", deep("{a: ", 100'000), "p:2:260: error PLAN_TOO_LARGE",
              "deeper than 64"},
        Wrong{"deep_dashes",
              "sluice: 1\nsteps:\n " + std::string(1, '-') + deep(" -", 1000).substr(17) + " 1\n",
              "p:3:", "deeper than 64"},
        Wrong{"text", "hello\n", "p:1:1: error PLAN_SYNTAX", "a plan is a map"},
        Wrong{"list", "- 1\n", "p:1:1: error PLAN_SYNTAX", "a plan is a map"},
        Wrong{"two_documents", "sluice: 1\nsteps: {}\n---\nsluice: 1\n", "p:3:1: error PLAN_SYNTAX",
              "one document"},
        Wrong{"anchor", "sluice: 1\nsteps: &x {}\n", "p:2:8: error PLAN_SYNTAX", "anchor"},
        Wrong{"tag", "sluice: !!int 1\nsteps: {}\n", "p:1:9: error PLAN_SYNTAX", "tag"},
        Wrong{"open_bracket", "sluice: 1\nsteps: {a: {value: 1}\n", "p:3:1: error PLAN_SYNTAX",
              "left open"},
        Wrong{"unquoted_index", "sluice: 1\nsteps:\n  a: {value: {{ params.x[0] }}}\n",
              "p:3:14: error EXPR_UNQUOTED", "write \"{{ params.x[0] }}\""},
        Wrong{"unquoted_block", "sluice: 1\nsteps:\n  a:\n    value: {{ run.id }} x\n",
              "p:4:12: error EXPR_UNQUOTED", "write"},
        Wrong{"unquoted_quotes", "sluice: 1\nsteps:\n  a:\n    value: {{ \"a\" }}\n",
              "p:4:12: error EXPR_UNQUOTED", "write '{{ \"a\" }}'"},
        Wrong{"infinity", "sluice: 1\nsteps:\n  a: {value: .inf}\n", "p:3:14: error VALUE_INVALID",
              "no JSON number"},
        Wrong{"list_as_key", "sluice: 1\nsteps:\n  [a]: 1\n", "p:3:3: error PLAN_SYNTAX", "key"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(Parse, AliasesAndMergeKeysAreRefused) {
  ParsedPlan parsed =
      parse_plan("sluice: 1\nsteps:\n  a: &x {value: 1}\n  b: *x\n  c: {<<: *x}\n", "p");
  EXPECT_THAT(findings(parsed), HasSubstr("p:3:6: error PLAN_SYNTAX: an anchor"));
  EXPECT_THAT(findings(parsed), HasSubstr("p:4:6: error PLAN_SYNTAX: an alias"));
  EXPECT_THAT(findings(parsed), HasSubstr("p:5:7: error PLAN_SYNTAX: a merge key"));
  EXPECT_EQ(parsed.diagnostics.all().size(), 4U) << findings(parsed);
}

Value constant(std::string_view yaml) {
  ParsedPlan parsed =
      parse_plan("sluice: 1\nsteps:\n  a:\n    value: " + std::string(yaml) + "\n", "p");
  EXPECT_FALSE(parsed.diagnostics.has_errors()) << findings(parsed);
  auto value = parsed.plan->steps.at(0).value.as_constant();
  return value ? *value : Value::string("no constant");
}

TEST(Parse, ScalarsOfTheCoreSchema) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"1", "1"},
      {"-7", "-7"},
      {"+7", "7"},
      {"007", "7"},
      {"0x1F", "31"},
      {"0o17", "15"},
      {"1.5", "1.5"},
      {".5", "0.5"},
      {"1e3", "1000.0"},
      {"true", "true"},
      {"False", "false"},
      {"null", "null"},
      {"~", "null"},
      {"", "null"},
      {"yes", "\"yes\""},
      {"on", "\"on\""},
      {"'1'", "\"1\""},
      {"\"a\\n\"", "\"a\\n\""},
      {"123456789012345678901234567890", "123456789012345678901234567890"},
      {"\"\\uD83D\\uDE00\"", "\"\xF0\x9F\x98\x80\""},
      {"1.2.3", "\"1.2.3\""},
      {"12h", "\"12h\""},
      {"[1, {a: b}]", "[1,{\"a\":\"b\"}]"}};
  for (const auto& [yaml, json] : cases) {
    EXPECT_EQ(constant(yaml), *parse_json(json)) << yaml;
  }
}

TEST(Parse, JsonIsReadByTheSameParser) {
  ParsedPlan parsed =
      parse_plan("{\"sluice\": 1,\n \"steps\": {\"a\": {\"value\": \"{{ nope }}\"}}}", "p.json");
  EXPECT_EQ(findings(parsed), "p:2:31: error EXPR_NAME: no name nope\n");
}

TEST(Parse, MarksFollowFoldedAndEscapedText) {
  ParsedPlan parsed = parse_plan(
      "sluice: 1\nsteps:\n  a:\n    value: >-\n      one\n      two {{ q1 }}\n\n      {{ q2 }}\n"
      "  b: {value: \"x\n    y \\\"{{ q3 }}\"}\n",
      "p");
  EXPECT_EQ(findings(parsed),
            "p:6:14: error EXPR_NAME: no name q1\np:8:10: error EXPR_NAME: no name q2\n"
            "p:10:12: error EXPR_NAME: no name q3\n");
}

constexpr std::string_view kAll = R"(sluice: 1
params:
  n: {type: integer, default: 2, description: how many}
  list: {type: array, items: {$ref: "#/schemas/row"}, default: []}
schemas: {row: {type: object, properties: {x: {type: integer}}}}
models: {big: {kind: openai, url: "http://h/v1", model: m, key: {env: KEY}, concurrency: 4}}
tools:
  sh: {kind: process, command: [echo, "a: b"], stdout: text, effect: idempotent, timeout: 5s}
  db: {kind: sql}
plans:
  sub:
    params: {x: {}}
    steps:
      q: {tool: db.query, with: {sql: select 1}}
      r: {value: "{{ [params.x, steps.q.output] }}"}
    result: "{{ steps.r.output }}"
concurrency: 8
budget: {tokens: 1000, seconds: 1.5}
steps:
  a: {for_each: "{{ params.list }}", when: "{{ item.x > 1 }}", value: "{{ item.x }}"}
  b:
    for_each: "{{ steps.a.output }}"
    tool: sh
    with: {args: ["{{ item }}", "#x", "- y", "null", "1", "", " "], stdin: "line\n\nnext\n"}
    retry: {attempts: 2, on: [external], delay: 10ms, factor: 3, max_delay: 1m, jitter: 0}
    timeout: 1m
    on_error: {step: f}
  f: {value: "{{ error.code }}"}
  c:
    llm: big
    with: {messages: [{role: user, content: "{{ steps.b.output | length }}"}], temperature: 0.5}
    output: {type: object, properties: {k: {type: string}}, required: [k]}
    cache: {ttl: 1h}
    budget: {calls: 3}
  d: {plan: sub, with: {x: "{{ steps.c.output.k }}"}, after: [b]}
  e:
    plan: "{{ steps.d.output }}"
    limits: {operators: [value], steps: 3, tasks: 9, depth: 0, budget: {tokens: 5}}
    on_error: {value: {none: null}}
  g:
    code: |
      def main(a, b):
        return a

      # end
    with: {a: "{{ steps.d.status }}", b: "{{ previous }}"}
    repeat: {until: "{{ output == round }}", max: 4, delay: 1s}
  h:
    value: "{{ [steps.c.output, steps.e.output] }}"
    join: {c: {skipped: {value: {k: "-"}}, failed: skip}}
result: {all: ["{{ steps.h.output }}", "{{ steps.g.output }}"], b: "{{ steps.b.output }}"}
)";

std::string described(const PlanPtr& plan) {
  auto tools = catalog_of(*plan);
  auto physical = lower_plan(plan, *tools);
  if (!physical) return physical.error().to_string();
  return to_json(describe_physical(**physical), {.indent = 1, .redact_secrets = false});
}

TEST(RoundTrip, PrintedPlansMeanTheSame) {
  ParsedPlan parsed = parse_plan(kAll, "p");
  ASSERT_FALSE(parsed.diagnostics.has_errors()) << findings(parsed);
  std::string expected = described(parsed.plan);
  EXPECT_THAT(expected, HasSubstr("plan_hash"));
  for (const std::string& text : {print_plan_json(*parsed.plan), print_plan_yaml(*parsed.plan)}) {
    ParsedPlan again = parse_plan(text, "again");
    ASSERT_FALSE(again.diagnostics.has_errors()) << findings(again) << text;
    EXPECT_EQ(described(again.plan), expected) << text;
    EXPECT_EQ(again.plan->source, parsed.plan->source);
    EXPECT_EQ(print_plan_yaml(*again.plan), print_plan_yaml(*parsed.plan));
  }
  ParsedPlan value = parse_plan_value(parsed.plan->source, "value");
  ASSERT_FALSE(value.diagnostics.has_errors()) << findings(value);
  EXPECT_EQ(described(value.plan), expected);
}

TEST(RoundTrip, FilesAreInlined) {
  ParseOptions options;
  options.read_file = [](std::string_view) -> Result<std::string> {
    return "sluice: 1\nsteps: {a: {value: 1}}\nresult: '{{ steps.a.output }}'\n";
  };
  ParsedPlan parsed =
      parse_plan("sluice: 1\nplans: {s: {file: s.yaml}}\nsteps: {a: {plan: s}}\n", "p", options);
  ASSERT_FALSE(parsed.diagnostics.has_errors()) << findings(parsed);
  EXPECT_EQ(parsed.plan->files, (std::vector<std::string>{"p", "s.yaml"}));
  ParsedPlan again = parse_plan(print_plan_yaml(*parsed.plan), "p");  // reads no files
  ASSERT_FALSE(again.diagnostics.has_errors()) << findings(again);
  EXPECT_EQ(described(again.plan), described(parsed.plan));
}

TEST(Limits, StepsAndNodes) {
  ParseOptions options;
  options.limits.max_steps = 3;
  std::string text =
      "sluice: 1\nsteps: {a: {value: 1}, b: {value: 1}, c: {value: 1}, d: {value: 1}}\n";
  EXPECT_THAT(findings(parse_plan(text, "p", options)), HasSubstr("p:2:1: error PLAN_TOO_LARGE"));
  options.limits.max_steps = 10;
  options.limits.max_nodes = 5;
  EXPECT_THAT(findings(parse_plan(text, "p", options)), HasSubstr("error PLAN_TOO_LARGE"));
  EXPECT_THAT(findings(parse_plan_value(*parse_json(R"({"steps": {"a": {"value": [1, 2, 3]}}})"),
                                        "p", options)),
              HasSubstr("error PLAN_TOO_LARGE"));
}

}  // namespace
}  // namespace sluice
