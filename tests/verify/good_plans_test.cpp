// Plans that are right: nothing is found. And what a produced plan may hold, and parameters.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/json.h"
#include "tests/verify/checking.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::string_view kChanges = R"(sluice: 1
params: {count: {type: integer, default: 40}}
tools:
  docs: {kind: files, root: /usr/share/doc}
  out: {kind: files, root: ., write: true}
  db:
    kind: sql
    database: changes.db
    init: create table if not exists change (package primary key, day, cves, headline)
    functions: {exec: {effect: idempotent}}  # may be repeated
steps:
  file: {tool: docs.glob, with: {pattern: "*/changelog.Debian.gz"}}
  text:  # one task per file
    for_each: "{{ steps.file.output }}"
    tool: docs.read
    with: {path: "{{ item }}"}
  entry:  # parses file 7 while 8 is read
    for_each: "{{ steps.text.output }}"
    code: |
      import email.utils, re
      def main(text):
        top, end = text.split("\n -- ", 1)
        return {"package": top.split()[0], "text": top[:600]}
    with: {text: "{{ item }}"}
    output: {type: object, properties: {cves: {type: array, items: {type: string}}}}
    on_error: skip  # not a changelog: a null slot
  newest:  # waits for all
    value: "{{ (steps.entry.output | present | unique(attribute='package') | sort(attribute='day', reverse=true))[:params.count] }}"
  headline:
    for_each: "{{ steps.newest.output }}"
    when: "{{ item.cves | length > 0 }}"
    llm: default
    with:
      messages:
        - {role: user, content: "curl: CVE-2023-38545: overflow in SOCKS5"}
        - {role: assistant, content: '{"headline": "curl fixes a SOCKS5 overflow"}'}
        - {role: user, content: "{{ item.text }}"}
    output: {type: object, required: [headline], properties: {headline: {type: string, maxLength: 90}}}
    on_error: skip
  stored:  # row 7 needs headline 7 only
    for_each: "{{ steps.newest.output }}"
    join: {headline: {skipped: {value: {headline: null}}}}
    tool: db.exec
    with:
      sql: insert or replace into change values (?, ?, ?, ?)
      args: ["{{ item.package }}", "{{ item.day }}", "{{ item.cves | join(' ') }}", "{{ steps.headline.output[index].headline }}"]
  ranked: {after: [stored], tool: db.query, with: {sql: select * from change order by length(cves) desc}}
  report:
    tool: out.write
    with:
      path: changes.md
      text: |
        # Changes (headlines by a model)
        {% for r in steps.ranked.output %}
        - {{ r.package }} {{ r.day }} {{ r.headline or "" }} {{ r.cves }}
        {% endfor %}
result: "{{ steps.report.output }}"
)";

TEST(GoodPlan, TheLanguagesExampleIsClean) {
  Checked checked = check_text(kChanges);
  EXPECT_THAT(checked.findings.all(), IsEmpty()) << checked.text();
}

struct Good {
  const char* name;
  const char* steps;
};
void PrintTo(const Good& good, std::ostream* out) { *out << good.name; }
class GoodPlan : public ::testing::TestWithParam<Good> {};

TEST_P(GoodPlan, HasNoErrors) {
  Checked checked = check_text(with_frame(GetParam().steps));
  EXPECT_THAT(checked.errors(), IsEmpty()) << checked.text();
}

INSTANTIATE_TEST_SUITE_P(
    All, GoodPlan,
    ::testing::Values(
        Good{"branches_with_join",
             "  a: {value: 1, when: '{{ params.n > 1 }}'}\n"
             "  b: {value: 2, when: '{{ params.n <= 1 }}'}\n"
             "  c: {value: '{{ steps.a.output or steps.b.output }}', join: {a: {skipped: {value: "
             "null}}, b: {skipped: {value: null}}}}\n"},
        Good{"same_cause",
             "  a: {value: 1, when: '{{ params.n > 1 }}'}\n"
             "  b: {value: '{{ steps.a.output }}'}\n  c: {value: '{{ steps.a.output }}'}\n"
             "  d: {value: '{{ [steps.b.output, steps.c.output] }}'}\n"},
        Good{"holes_in_a_list",
             "  a: {for_each: [1, 2], value: '{{ item }}', when: '{{ item > 1 }}'}\n"
             "  b: {value: 2}\n"
             "  c: {value: '{{ [steps.a.output | present, steps.b.output] }}'}\n"},
        Good{"status_never_skips",
             "  a: {value: 1, when: '{{ params.n > 1 }}'}\n  b: {value: 2}\n"
             "  c: {value: '{{ [steps.a.status, steps.b.output] }}'}\n"},
        Good{"after_ignores_skips",
             "  a: {tool: pay, on_error: skip}\n  b: {value: 2}\n"
             "  c: {after: [a], value: '{{ steps.b.output }}'}\n"},
        Good{"flow_chain",
             "  a: {for_each: [1], value: '{{ item }}', when: '{{ item > 1 }}'}\n"
             "  b: {for_each: '{{ steps.a.output }}', value: '{{ item + 1 }}'}\n"
             "  c: {for_each: '{{ steps.b.output }}', value: '{{ item + steps.a.output[index] "
             "}}'}\n"},
        Good{"repeat",
             "  a: {value: '{{ (previous or 0) + round }}', repeat: {until: '{{ output > 5 }}', "
             "max: 9, delay: 10ms}}\n"},
        Good{
            "fallback",
            "  f: {value: '{{ error.message }}: {{ item }}'}\n"
            "  a: {for_each: [1], tool: pay, with: {args: ['{{ item }}']}, on_error: {step: f}}\n"},
        Good{"retry_idempotent",
             "  a: {tool: docs.read, with: {path: x}, retry: {attempts: 3, on: "
             "[external, IO], delay: 1s, factor: 2, max_delay: 1m, jitter: "
             "0.1}}\n"},
        Good{"cache_pure", "  a: {llm: default, with: {prompt: x}, cache: {}}\n"},
        Good{"cache_read", "  a: {tool: docs.read, with: {path: x}, cache: {ttl: 1h}}\n"},
        Good{"sub_plan", "  a: {for_each: [1, 2], plan: twice, with: {x: '{{ item }}'}}\n"},
        Good{"produced",
             "  a: {plan: '{{ params.p }}', limits: {operators: [tool, llm], tools: [db.query], "
             "models: [default], steps: 20, tasks: 500, depth: 0, budget: {tokens: 9000}}}\n"},
        Good{"stream",
             "  a: {tool: tail}\n  b: {for_each: '{{ steps.a.output }}', value: '{{ item "
             "| upper }}'}\n"},
        Good{"sampling",
             "  a: {llm: default, with: {prompt: 'say {{ params.n }}', temperature: "
             "0.7, top_p: 0.9, max_tokens: 5, seed: 1, stop: ['.'], turns: 3, tools: "
             "[db.query]}}\n"}),
    [](const auto& info) { return std::string(info.param.name); });

std::vector<std::string> admit(std::string_view json, const Limits& limits) {
  Checked parent = check_text(with_frame("  a: {value: 1}\n"));
  auto tools = catalog_of(*parent.plan);
  ParsedPlan produced = parse_plan_value(*parse_json(json), "produced");
  Checked checked{produced.plan, std::move(produced.diagnostics)};
  if (checked.plan) verify_plan({*checked.plan, *tools, &limits}, checked.findings);
  return checked.errors();
}

TEST(ProducedPlan, OnlyWhatIsNamedIsAllowed) {
  Limits limits;
  limits.operators = {"tool", "value"};
  limits.tools = {"db.query"};
  limits.steps = 2;
  limits.tasks = 10;
  EXPECT_THAT(
      admit(R"({"steps": {"a": {"tool": "db.query", "with": {"sql": "select 1"}}}})", limits),
      IsEmpty());
  EXPECT_THAT(admit(R"({"steps": {"a": {"tool": "db.exec", "with": {"sql": "x"}}}})", limits),
              ElementsAre("0:0 PLAN_REJECTED"));
  EXPECT_THAT(admit(R"({"steps": {"a": {"tool": "pay"}}})", limits),
              ElementsAre("0:0 PLAN_REJECTED"));
  EXPECT_THAT(admit(R"({"steps": {"a": {"llm": "default", "with": {"prompt": "x"}}}})", limits),
              ElementsAre("0:0 PLAN_REJECTED", "0:0 PLAN_REJECTED"));
  EXPECT_THAT(
      admit(R"({"steps": {"a": {"value": 1}, "b": {"value": 1}, "c": {"value": 1}}})", limits),
      ElementsAre("0:0 PLAN_REJECTED"));
  EXPECT_THAT(
      admit(R"({"steps": {}, "tools": {"t": {"kind": "process", "command": "rm"}}})", limits),
      ElementsAre("0:0 PLAN_REJECTED"));
  EXPECT_THAT(admit(R"({"steps": {}, "plans": {"t": {"file": "/etc/passwd"}}})", limits),
              ::testing::Contains("0:0 PLAN_REJECTED"));
  EXPECT_THAT(
      admit(R"({"steps": {"a": {"tool": "db.query", "with": {"sql": "{{ run.id }}"}}}})", limits),
      ElementsAre("0:0 SQL_TEMPLATE"));
  EXPECT_THAT(admit(R"([1])", limits), ElementsAre("0:0 PLAN_SYNTAX"));
}

TEST(ProducedPlan, DepthAndInnerLimits) {
  Limits limits;
  limits.operators = {"plan"};
  limits.steps = limits.tasks = 5;
  constexpr std::string_view kInner =
      R"({"params": {"p": {}}, "steps": {"a": {"plan": "{{ params.p }}",
          "limits": {"operators": ["plan", "code"], "steps": 1, "tasks": 1}}}})";
  EXPECT_THAT(admit(kInner, limits), ElementsAre("0:0 PLAN_REJECTED"));
  limits.depth = 1;
  EXPECT_THAT(admit(kInner, limits), ElementsAre("0:0 PLAN_REJECTED"));  // code is not ours to give
  limits.operators.push_back("code");
  EXPECT_THAT(admit(kInner, limits), IsEmpty());
}

TEST(Params, DefaultsAndFindings) {
  Checked plan = check_text(
      "sluice: 1\nsteps: {}\nparams:\n  n: {type: integer, default: 3}\n  name: {type: string}\n");
  auto bind = [&](std::string_view json, std::vector<std::string>& codes) {
    Diagnostics out;
    Value bound = bind_params(*plan.plan, *parse_json(json), out);
    for (const auto& each : out.all()) codes.emplace_back(error_code_info(each.code).name);
    return to_json(bound);
  };
  std::vector<std::string> codes;
  EXPECT_EQ(bind(R"({"name": "x"})", codes), R"({"n":3,"name":"x"})");
  EXPECT_THAT(codes, IsEmpty());
  bind(R"({"n": "many", "nme": "x"})", codes);
  EXPECT_THAT(codes, ElementsAre("PARAM_INVALID", "PARAM_MISSING", "PARAM_UNKNOWN"));
}

}  // namespace
}  // namespace sluice
