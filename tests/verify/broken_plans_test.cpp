// Broken plans: each gives exactly the findings that are named, at exactly those places.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/verify/checking.h"

namespace sluice {
namespace {

using ::testing::ElementsAreArray;

struct Broken {
  const char* name;
  const char* steps;
  std::vector<std::string> errors;
  const char* says = "";  // a part of one message
};

void PrintTo(const Broken& broken, std::ostream* out) { *out << broken.name; }

class BrokenPlan : public ::testing::TestWithParam<Broken> {};

TEST_P(BrokenPlan, GivesTheseErrors) {
  Checked checked = check_text(with_frame(GetParam().steps));
  EXPECT_THAT(checked.errors(), ElementsAreArray(GetParam().errors)) << checked.text();
  EXPECT_THAT(checked.text(), ::testing::HasSubstr(GetParam().says));
}

std::string name_of(const ::testing::TestParamInfo<Broken>& info) { return info.param.name; }

// The language's own list.
INSTANTIATE_TEST_SUITE_P(
    Language, BrokenPlan,
    ::testing::Values(
        Broken{"key_unknown",
               "  a: {tool: pay, wiht: {}}\n",
               {"3:18 KEY_UNKNOWN"},
               "no key wiht; did you mean with?"},
        Broken{"unquoted",
               "  a: {value: {{ run.id }}}\n",
               {"3:14 EXPR_UNQUOTED"},
               "write \"{{ run.id }}\""},
        Broken{"syntax", "  a: {value: \"{{ 1 + }}\"}\n", {"3:22 EXPR_SYNTAX"}},
        Broken{"step_unknown",
               "  a1: {value: 1}\n  b: {value: \"{{ steps.al.output }}\"}\n",
               {"4:24 STEP_UNKNOWN"},
               "no step al; did you mean a1?"},
        Broken{"cycle",
               "  a: {value: \"{{ steps.a.output }}\"}\n",
               {"3:24 STEP_CYCLE"},
               "a reads itself; use repeat"},
        Broken{"type",
               "  a: {value: 1, for_each: 5}\n",
               {"3:27 TYPE_MISMATCH"},
               "for_each needs an array, not an integer"},
        Broken{"llm_args",
               "  a: {llm: default}\n",
               {"3:7 ARG_MISSING"},
               "llm needs messages or prompt"},
        Broken{"join",
               "  a: {tool: pay, on_error: skip}\n  b: {value: 2}\n"
               "  c: {value: \"{{ steps.a.output or steps.b.output }}\"}\n",
               {"5:24 JOIN_UNSTATED"},
               "add join: {a: {skipped: skip}}"},
        Broken{"repeat",
               "  a: {value: 1, repeat: {until: true}}\n",
               {"3:25 REPEAT_UNBOUNDED"},
               "add max: 10"},
        Broken{"retry", "  a: {tool: pay, retry: {attempts: 3}}\n", {"3:18 RETRY_ONCE"}},
        Broken{"sql",
               "  a: {tool: db.query, with: {sql: \"select {{ run.id }}\"}}\n",
               {"3:43 SQL_TEMPLATE"},
               "write ?"},
        Broken{"limits", "  a: {plan: \"{{ params.p }}\"}\n", {"3:7 LIMITS_MISSING"}}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Form, BrokenPlan,
    ::testing::Values(
        Broken{"key_twice", "  a: {value: 1, value: 2}\n", {"3:17 KEY_DUPLICATE"}},
        Broken{"step_twice", "  a: {value: 1}\n  a: {value: 2}\n", {"4:3 KEY_DUPLICATE"}},
        Broken{"reserved", "  a: {tenant: x, value: 1}\n", {"3:7 KEY_RESERVED"}},
        Broken{"bad_id", "  A1: {value: 1}\n", {"3:3 ID_INVALID"}},
        Broken{"no_operator", "  a: {with: {}}\n", {"3:3 OPERATOR_MISSING"}},
        Broken{"misspelt_operator", "  a: {tol: pay}\n", {"3:7 KEY_UNKNOWN"}, "did you mean tool?"},
        Broken{"two_operators", "  a: {value: 1, tool: pay}\n", {"3:17 OPERATOR_MANY"}},
        Broken{"step_no_map", "  a: 5\n", {"3:6 VALUE_INVALID"}},
        Broken{
            "timeout_unit", "  a: {tool: pay, timeout: 30}\n", {"3:27 VALUE_INVALID"}, "write 30s"},
        Broken{"timeout_word", "  a: {tool: pay, timeout: 3 min}\n", {"3:27 VALUE_INVALID"}},
        Broken{"concurrency_zero", "  a: {value: 1, concurrency: 0}\n", {"3:30 VALUE_INVALID"}},
        Broken{"after_no_list",
               "  b: {value: 1}\n  a: {value: 1, after: b}\n",
               {"4:24 VALUE_INVALID"},
               "write after: [...]"},
        Broken{"on_error_word", "  a: {value: 1, on_error: ignore}\n", {"3:27 VALUE_INVALID"}},
        Broken{"retry_code",
               "  a: {llm: default, with: {prompt: x}, retry: {attempts: 2, on: "
               "[TIMOUT]}}\n",
               {"3:66 VALUE_INVALID"},
               "did you mean TIMEOUT?"},
        Broken{"retry_zero", "  a: {value: 1, retry: {attempts: 0}}\n", {"3:35 VALUE_INVALID"}},
        Broken{"join_word",
               "  b: {value: 1}\n  a: {value: '{{ steps.b.output }}', join: {b: "
               "{skipped: maybe}}}\n",
               {"4:58 VALUE_INVALID"}},
        Broken{"join_empty",
               "  b: {value: 1}\n  a: {value: '{{ steps.b.output }}', join: {b: {}}}\n",
               {"4:48 VALUE_INVALID"}},
        Broken{"repeat_no_until", "  a: {value: 1, repeat: {max: 3}}\n", {"3:25 KEY_MISSING"}},
        Broken{"plan_map", "  a: {plan: {steps: {}}}\n", {"3:13 VALUE_INVALID"}},
        Broken{"tool_expression", "  a: {tool: \"{{ params.p }}\"}\n", {"3:14 VALUE_INVALID"}},
        Broken{"value_with", "  a: {value: 1, with: {x: 1}}\n", {"3:17 VALUE_INVALID"}},
        Broken{"budget_key", "  a: {value: 1, budget: {token: 5}}\n", {"3:26 KEY_UNKNOWN"}},
        Broken{"limit_operator",
               "  a: {plan: \"{{ params.p }}\", limits: {operators: [lllm]}}\n",
               {"3:52 VALUE_INVALID"}},
        Broken{"schema_keyword",
               "  a: {llm: default, with: {prompt: x}, output: {type: strin}}\n",
               {"3:49 SCHEMA_INVALID"}}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Names, BrokenPlan,
    ::testing::Values(
        Broken{"param_unknown",
               "  a: {value: \"{{ params.q }}\"}\n",
               {"3:25 PARAM_UNKNOWN"},
               "did you mean p?"},
        Broken{"bare_step",
               "  b: {value: 1}\n  a: {value: \"{{ b }}\"}\n",
               {"4:18 EXPR_NAME"},
               "did you mean steps.b.output?"},
        Broken{"item_alone",
               "  a: {value: \"{{ item }}\"}\n",
               {"3:18 EXPR_NAME"},
               "item stands only in a step with for_each"},
        Broken{
            "item_in_for_each", "  a: {for_each: \"{{ item }}\", value: 1}\n", {"3:21 EXPR_NAME"}},
        Broken{"round_alone", "  a: {value: \"{{ round }}\"}\n", {"3:18 EXPR_NAME"}},
        Broken{"output_alone", "  a: {value: \"{{ output }}\"}\n", {"3:18 EXPR_NAME"}},
        Broken{"step_field",
               "  b: {value: 1}\n  a: {value: \"{{ steps.b.result }}\"}\n",
               {"4:26 EXPR_NAME"},
               "a step has output and status"},
        Broken{"filter_unknown", "  a: {value: \"{{ params.p | uper }}\"}\n", {"3:29 EXPR_FILTER"}},
        Broken{"in_block",
               "  a:\n    value: |\n      one\n      two {{ params.q }}\n",
               {"6:21 PARAM_UNKNOWN"}},
        Broken{
            "in_single_quotes", "  a: {value: 'it''s {{ params.q }}'}\n", {"3:31 PARAM_UNKNOWN"}},
        Broken{"behind_escapes",
               "  a: {value: \"\\t\\u00e9 {{ params.q }}\"}\n",
               {"3:34 PARAM_UNKNOWN"}},
        Broken{"in_plain", "  a:\n    value: x {{ params.q }}\n", {"4:24 PARAM_UNKNOWN"}},
        Broken{"after_unknown",
               "  a1: {value: 1}\n  b: {value: 1, after: [al]}\n",
               {"4:25 STEP_UNKNOWN"}},
        Broken{
            "join_unknown", "  a: {value: 1, join: {x: {skipped: skip}}}\n", {"3:24 STEP_UNKNOWN"}},
        Broken{"join_unused",
               "  x: {value: 1}\n  a: {value: 1, join: {x: {skipped: skip}}}\n",
               {"4:24 JOIN_UNUSED"}},
        Broken{"tool_unknown", "  a: {tool: pai}\n", {"3:13 TOOL_UNKNOWN"}, "did you mean pay?"},
        Broken{"function_unknown",
               "  a: {tool: db.qery, with: {sql: x}}\n",
               {"3:13 TOOL_UNKNOWN"},
               "did you mean query?"},
        Broken{"no_default_function",
               "  a: {tool: db, with: {sql: x}}\n",
               {"3:13 TOOL_UNKNOWN"},
               "write db.query or db.exec"},
        Broken{"write_off",
               "  a: {tool: docs.write, with: {path: x, text: y}}\n",
               {"3:13 TOOL_UNKNOWN"},
               "write: true"},
        Broken{"model_unknown", "  a: {llm: big, with: {prompt: x}}\n", {"3:12 MODEL_UNKNOWN"}},
        Broken{
            "plan_unknown", "  a: {plan: twise}\n", {"3:13 PLAN_UNKNOWN"}, "did you mean twice?"},
        Broken{"offered_tool",
               "  a: {llm: default, with: {prompt: x, tools: [bd.query]}}\n",
               {"3:47 TOOL_UNKNOWN"},
               "did you mean db?"},
        Broken{"offered_expression",
               "  a: {llm: default, with: {prompt: x, tools: ['{{ params.p }}']}}\n",
               {"3:46 VALUE_INVALID"}},
        Broken{"cycle_of_three",
               "  a: {value: '{{ steps.c.output }}'}\n  b: {value: '{{ steps.a.output }}'}\n"
               "  c: {value: '{{ steps.b.output }}'}\n",
               {"3:24 STEP_CYCLE"},
               "a -> c -> b -> a"},
        Broken{"cycle_by_after",
               "  a: {value: 1, after: [b]}\n  b: {value: '{{ steps.a.output }}'}\n",
               {"3:25 STEP_CYCLE"}}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Meaning, BrokenPlan,
    ::testing::Values(
        Broken{"for_each_of_text",
               "  b: {tool: docs.glob, with: {pattern: x}, output: {type: string}}\n"
               "  a: {for_each: \"{{ steps.b.output }}\", value: 1}\n",
               {"4:17 TYPE_MISMATCH"}},
        Broken{"when_of_text", "  a: {value: 1, when: 'yes'}\n", {"3:23 TYPE_MISMATCH"}},
        Broken{"when_of_number",
               "  a: {value: 1, when: '{{ params.n }}'}\n",
               {"3:23 TYPE_MISMATCH"},
               "compare it"},
        Broken{"until_of_text",
               "  a: {value: 1, repeat: {until: done, max: 2}}\n",
               {"3:33 TYPE_MISMATCH"}},
        Broken{
            "arg_missing", "  a: {tool: docs.read}\n", {"3:7 ARG_MISSING"}, "docs.read needs path"},
        Broken{"arg_unknown",
               "  a: {tool: docs.read, with: {path: x, pth: y}}\n",
               {"3:40 ARG_UNKNOWN"},
               "did you mean path?"},
        Broken{"arg_type",
               "  a: {tool: docs.read, with: {path: \"{{ params.n }}\"}}\n",
               {"3:37 TYPE_MISMATCH"}},
        Broken{
            "arg_constant", "  a: {tool: docs.glob, with: {pattern: 5}}\n", {"3:40 TYPE_MISMATCH"}},
        Broken{"role",
               "  a: {llm: default, with: {messages: [{role: usr, content: x}]}}\n",
               {"3:46 TYPE_MISMATCH"}},
        Broken{"messages_and_prompt",
               "  a: {llm: default, with: {prompt: x, messages: [{role: user, content: x}]}}\n",
               {"3:28 ARG_UNKNOWN"}},
        Broken{"sub_plan_param", "  a: {plan: twice}\n", {"3:7 ARG_MISSING"}},
        Broken{"sub_plan_unknown_param",
               "  a: {plan: twice, with: {x: 1, z: 2}}\n",
               {"3:33 ARG_UNKNOWN"}},
        Broken{"sub_plan_type", "  a: {plan: twice, with: {x: text}}\n", {"3:30 TYPE_MISMATCH"}},
        Broken{"value_output", "  a: {value: 5, output: {type: string}}\n", {"3:14 TYPE_MISMATCH"}},
        Broken{"cache_once", "  a: {tool: pay, cache: {ttl: 1m}}\n", {"3:18 CACHE_EFFECT"}},
        Broken{"cache_read_no_ttl",
               "  a: {tool: docs.read, with: {path: x}, cache: {}}\n",
               {"3:41 CACHE_EFFECT"},
               "ttl: 10m"},
        Broken{"limits_unused", "  a: {value: 1, limits: {steps: 1}}\n", {"3:17 LIMITS_UNUSED"}},
        Broken{"limits_tool",
               "  a: {plan: \"{{ params.p }}\", limits: {tools: [bd]}}\n",
               {"3:31 TOOL_UNKNOWN"}},
        Broken{"fallback_mapped",
               "  f: {for_each: [1], value: 1}\n  a: {tool: pay, on_error: {step: f}}\n",
               {"4:35 FALLBACK_INVALID"}},
        Broken{"fallback_read",
               "  f: {value: 1}\n  a: {tool: pay, on_error: {step: f}}\n"
               "  b: {value: '{{ steps.f.output }}'}\n",
               {"5:24 FALLBACK_INVALID"}},
        Broken{
            "fallback_self", "  a: {tool: pay, on_error: {step: a}}\n", {"3:35 FALLBACK_INVALID"}},
        Broken{"fallback_of_two",
               "  f: {value: 1}\n  a: {tool: pay, on_error: {step: f}}\n"
               "  b: {tool: pay, on_error: {step: f}}\n",
               {"4:35 FALLBACK_INVALID"}},
        Broken{"join_value_reads",
               "  b: {tool: pay, on_error: skip}\n  c: {value: 1}\n"
               "  a: {value: '{{ [steps.b.output, steps.c.output] }}', join: {b: {skipped: {value: "
               "'{{ steps.c.output }}'}}}}\n",
               {"5:94 EXPR_NAME"}},
        Broken{"two_branches",
               "  a: {value: 1, when: '{{ params.n > 1 }}'}\n"
               "  b: {value: 2, when: '{{ params.n <= 1 }}'}\n"
               "  c: {value: '{{ [steps.a.output, steps.b.output] }}'}\n",
               {"5:25 JOIN_UNSTATED", "5:41 JOIN_UNSTATED"}},
        Broken{"slot_join",
               "  a: {for_each: [1, 2], value: '{{ item }}', when: '{{ item > 1 }}'}\n"
               "  l: {value: [3, 4]}\n"
               "  b: {for_each: '{{ steps.l.output }}', value: '{{ item + "
               "steps.a.output[index] }}'}\n",
               {"5:65 JOIN_UNSTATED"}},
        Broken{"sql_block",
               "  a:\n    tool: db.query\n    with:\n      sql: |\n        select\n        {{ "
               "params.n }}\n",
               {"8:9 SQL_TEMPLATE"}}),
    name_of);

struct Whole {
  const char* name;
  const char* text;
  std::vector<std::string> errors;
  const char* says = "";
};
void PrintTo(const Whole& whole, std::ostream* out) { *out << whole.name; }

class BrokenWhole : public ::testing::TestWithParam<Whole> {};

TEST_P(BrokenWhole, GivesTheseErrors) {
  Checked checked = check_text(GetParam().text);
  EXPECT_THAT(checked.errors(), ElementsAreArray(GetParam().errors)) << checked.text();
  EXPECT_THAT(checked.text(), ::testing::HasSubstr(GetParam().says));
}

INSTANTIATE_TEST_SUITE_P(
    Sections, BrokenWhole,
    ::testing::Values(
        Whole{"no_version",
              "steps: {a: {tool: t}}\ntools: {t: {kind: process, command: x}}\n",
              {"1:1 PLAN_VERSION"}},
        Whole{"version_two", "sluice: 2\nsteps: {}\n", {"1:9 PLAN_VERSION"}},
        Whole{"no_steps", "sluice: 1\n", {"1:1 KEY_MISSING"}},
        Whole{"steps_list", "sluice: 1\nsteps: [{value: 1}]\n", {"2:8 VALUE_INVALID"}},
        Whole{"plan_key",
              "sluice: 1\nstep: {}\nsteps: {}\n",
              {"2:1 KEY_UNKNOWN"},
              "did you mean steps?"},
        Whole{"plan_reserved", "sluice: 1\nsteps: {}\npriority: 3\n", {"3:1 KEY_RESERVED"}},
        Whole{"param_default",
              "sluice: 1\nsteps: {}\nparams: {n: {type: integer, default: x}}\n",
              {"3:38 PARAM_INVALID"}},
        Whole{"param_schema",
              "sluice: 1\nsteps: {}\nparams: {n: {type: intger}}\n",
              {"3:14 SCHEMA_INVALID"}},
        Whole{"kind_missing",
              "sluice: 1\nsteps: {}\ntools: {t: {command: x}}\n",
              {"3:9 KEY_MISSING"}},
        Whole{"kind_unknown",
              "sluice: 1\nsteps: {}\ntools: {t: {kind: proces}}\n",
              {"3:19 SETTING_INVALID"},
              "process"},
        Whole{"setting_unknown",
              "sluice: 1\nsteps: {}\ntools: {t: {kind: process, command: x, stdot: json}}\n",
              {"3:40 SETTING_INVALID"},
              "did you mean stdout?"},
        Whole{"setting_missing",
              "sluice: 1\nsteps: {}\ntools: {t: {kind: files}}\n",
              {"3:9 SETTING_INVALID"}},
        Whole{"setting_wrong",
              "sluice: 1\nsteps: {}\ntools: {t: {kind: process, command: x, stdout: yaml}}\n",
              {"3:40 SETTING_INVALID"}},
        Whole{"setting_expression",
              "sluice: 1\nsteps: {}\ntools: {t: {kind: files, root: '{{ run.id }}'}}\n",
              {"3:26 SETTING_INVALID"},
              "settings hold no expressions"},
        Whole{"setting_function",
              "sluice: 1\nsteps: {}\ntools: {t: {kind: sql, functions: {exce: {effect: pure}}}}\n",
              {"3:36 TOOL_UNKNOWN"},
              "did you mean exec?"},
        Whole{"setting_schema",
              "sluice: 1\nsteps: {}\ntools: {t: {kind: process, command: x, output: {type: 5}}}\n",
              {"3:49 SCHEMA_INVALID"}},
        Whole{"probe_tool",
              "sluice: 1\nsteps: {}\ntools: {t: {kind: process, command: x, probe: {tool: q}}}\n",
              {"3:48 TOOL_UNKNOWN"}},
        Whole{"model_setting",
              "sluice: 1\nsteps: {}\nmodels: {m: {kind: openai}}\n",
              {"3:10 SETTING_INVALID"}},
        Whole{"model_key",
              "sluice: 1\nsteps: {}\nmodels: {m: {kind: openai, url: 'http://h/v1', key: sk-1}}\n",
              {"3:48 SECRET_EXPOSED"},
              "key: {env: NAME}"},
        Whole{"sub_plan_inside",
              "sluice: 1\nsteps: {a: {plan: s}}\nplans:\n  s:\n    steps:\n      x: {value: '{{ "
              "steps.y.output }}'}\n",
              {"6:28 STEP_UNKNOWN"}},
        Whole{"file_refused",
              "sluice: 1\nsteps: {a: {plan: s}}\nplans: {s: {file: x.yaml}}\n",
              {"3:19 FILE_UNREADABLE"}},
        Whole{"result_name",
              "sluice: 1\nsteps: {}\nresult: '{{ steps.a.output }}'\n",
              {"3:19 STEP_UNKNOWN"}},
        Whole{"many_at_once",
              "sluice: 1\nsteps:\n  a: {value: 1, wen: true}\n  b: {tool: nope}\n  c: {llm: "
              "default}\n",
              {"3:17 KEY_UNKNOWN", "4:13 TOOL_UNKNOWN", "5:7 ARG_MISSING"}}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(Warnings, AreNotErrors) {
  Checked unused = check_text("sluice: 1\nsteps: {a: {value: 1}}\n");
  EXPECT_THAT(unused.errors(), ::testing::IsEmpty()) << unused.text();
  EXPECT_THAT(unused.warnings(), ::testing::ElementsAre("2:9 STEP_UNUSED"));

  Checked never = check_text(
      "sluice: 1\nsteps: {a: {value: 1, when: false}, b: {value: '{{ steps.a.output }}'}}\n"
      "result: '{{ steps.b.output }}'\n");
  EXPECT_THAT(never.warnings(),
              ::testing::ElementsAre("2:29 STEP_UNREACHABLE", "2:58 STEP_UNREACHABLE"));

  Checked loose = check_text(
      "sluice: 1\nsteps: {a: {llm: default, with: {prompt: x}, output: {type: array, "
      "uniqueItems: true}}}\nresult: '{{ steps.a.output }}'\n");
  EXPECT_THAT(loose.errors(), ::testing::IsEmpty()) << loose.text();
  EXPECT_THAT(loose.warnings(), ::testing::ElementsAre("2:46 GRAMMAR_UNENFORCEABLE"));

  Checked secret = check_text(with_frame("  a: {tool: pay, with: {stdin: {env: API_KEY}}}\n"));
  EXPECT_THAT(secret.errors(), ::testing::IsEmpty()) << secret.text();
  EXPECT_THAT(secret.warnings(), ::testing::ElementsAre("3:32 SECRET_EXPOSED"));
}

TEST(Warnings, AreNotGuessedWhereTheTextIsBroken) {
  Checked checked = check_text("sluice: 1\nsteps:\n  a: {value: {{ run.id }}}\n");
  EXPECT_THAT(checked.warnings(), ::testing::IsEmpty()) << checked.text();
}

TEST(Files, RecursionAndPositionsInOtherFiles) {
  ParseOptions options;
  options.read_file = [](std::string_view name) -> Result<std::string> {
    if (name == "loop.yaml") {
      return "sluice: 1\nplans: {self: {file: loop.yaml}}\nsteps: {a: {plan: self}}\n";
    }
    if (name == "bad.yaml") return "sluice: 1\nsteps:\n  a: {value: '{{ oops }}'}\n";
    return fail(ErrorCode::kFileUnreadable, "no such file");
  };
  auto check = [&](std::string_view file) {
    return check_text(
        "sluice: 1\nplans: {s: {file: " + std::string(file) + "}}\nsteps: {a: {plan: s}}\n",
        options);
  };
  EXPECT_THAT(check("loop.yaml").errors(), ::testing::ElementsAre("1/2:22 RECURSION"));
  EXPECT_THAT(check("bad.yaml").errors(), ::testing::ElementsAre("1/3:18 EXPR_NAME"));
  EXPECT_THAT(check("gone.yaml").errors(), ::testing::ElementsAre("2:19 FILE_UNREADABLE"));
  EXPECT_THAT(check("bad.yaml").text(), ::testing::HasSubstr("bad.yaml:3:18: error EXPR_NAME"));
  EXPECT_THAT(check("plan.yaml").errors(), ::testing::ElementsAre("2:19 RECURSION"));
}

}  // namespace
}  // namespace sluice
