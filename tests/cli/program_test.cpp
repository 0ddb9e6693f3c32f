// The program from outside: what it prints, where, and its exit code.
#include "tests/cli/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/json.h"
#include "tests/host/scratch_dir.h"

namespace sluice::cli {
namespace {

using testing::HasSubstr;

class Program : public testing::Test {
 protected:
  void SetUp() override {
    if (program_path().empty()) GTEST_SKIP() << "SLUICE_BIN names no program";
  }
  ProgramResult run(std::vector<std::string> arguments) {
    ProgramInput input;
    input.directory = dir.path();
    input.environment = environment;
    return run_program(arguments, input);
  }
  ScratchDir dir;
  // No model anywhere unless a test says so.
  std::map<std::string, std::string> environment{{"SLUICE_CACHE", dir.path() / "cache"},
                                                 {"SLUICE_JOURNAL", dir.path() / "journal.db"},
                                                 {"SLUICE_MODEL", ""}};
};

constexpr const char* kDouble = R"(sluice: 1
params: {n: {type: integer, default: 2}}
steps:
  twice: {value: "{{ params.n * 2 }}"}
result: {n: "{{ steps.twice.output }}"}
)";

TEST_F(Program, RunsAPlan) {
  dir.write("p.yaml", kDouble);
  auto ran = run({"run", "p.yaml"});
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_EQ(to_json(*parse_json(ran.out)), R"({"n":4})");
  EXPECT_THAT(ran.err, HasSubstr("succeeded"));
  ran = run({"run", "p.yaml", "--param", "n=21", "--quiet"});
  EXPECT_EQ(to_json(*parse_json(ran.out)), R"({"n":42})");
  EXPECT_EQ(ran.err, "");
}

TEST_F(Program, PrintsTextAsItIs) {
  dir.write("p.yaml", "sluice: 1\nsteps: {a: {value: hello}}\nresult: \"{{ steps.a.output }}\"\n");
  EXPECT_EQ(run({"run", "p.yaml", "-q"}).out, "hello\n");
  EXPECT_EQ(run({"run", "p.yaml", "-q", "-o", "out.txt"}).out, "");
  EXPECT_EQ(run({"run", "out.txt"}).exit_code, 2) << "the file was written";
}

TEST_F(Program, GivesEventsAsJsonLines) {
  dir.write("p.yaml", kDouble);
  auto ran = run({"run", "p.yaml", "--json"});
  EXPECT_EQ(ran.exit_code, 0);
  EXPECT_EQ(ran.err, "");
  std::istringstream lines(ran.out);
  std::string line, last;
  int count = 0;
  while (std::getline(lines, line)) {
    ASSERT_TRUE(parse_json(line).has_value()) << line;
    last = line;
    ++count;
  }
  EXPECT_GT(count, 2);
  const Value result = *parse_json(last);
  EXPECT_EQ(result.find("event")->as_string(), "result");
  EXPECT_EQ(result.find("status")->as_string(), "succeeded");
  EXPECT_EQ(to_json(*result.find("result")), R"({"n":4})");
}

TEST_F(Program, ChecksWithFileLineAndColumn) {
  dir.write("good.yaml", kDouble);
  dir.write("bad.yaml",
            "sluice: 1\nsteps:\n  a: {valeu: 1}\n  b: {value: \"{{ steps.q.output }}\"}\n");
  auto good = run({"check", "good.yaml"});
  EXPECT_EQ(good.exit_code, 0) << good.out;
  EXPECT_THAT(good.out, HasSubstr("good, 1 step"));
  auto bad = run({"check", "good.yaml", "bad.yaml"});
  EXPECT_EQ(bad.exit_code, 2);
  EXPECT_THAT(bad.out, HasSubstr("bad.yaml:3:7: error KEY_UNKNOWN"));
  EXPECT_THAT(bad.out, HasSubstr("did you mean value?"));
  EXPECT_THAT(bad.out, HasSubstr("bad.yaml:4:24: error STEP_UNKNOWN"));
}

// What a beginner gives, and what should be said.
struct WrongInput {
  const char* name;
  std::vector<std::string> arguments;
  int exit_code;
  const char* says;
};

class WrongInputs : public Program, public testing::WithParamInterface<WrongInput> {
 protected:
  void SetUp() override {
    Program::SetUp();
    dir.write("empty.yaml", "");
    dir.write("tabs.yaml", "sluice: 1\nsteps:\n\ta: {value: 1}\n");
    dir.write("misspelt.yaml", "sluice: 1\nstpes:\n  a: {value: 1}\n");
    dir.write("paper.pdf", "%PDF-1.4\n%\xe2\xe3\xcf\xd3\n");
    dir.write("huge.yaml", "sluice: 1\n");
    std::filesystem::resize_file(dir.path() / "huge.yaml", 20 << 20);
    dir.write("deep.yaml", "sluice: 1\nsteps: {a: {value: " + std::string(100'000, '[') + "}}\n");
    dir.write("folder/plan.yaml", kDouble);
    dir.write("plan.yaml", kDouble);
    dir.write("llm.yaml",
              "sluice: 1\nsteps: {a: {llm: default, with: {prompt: hi}}}\n"
              "result: \"{{ steps.a.output }}\"\n");
    dir.write("text.gguf", "not a model");
    dir.write(
        "param.yaml",
        "sluice: 1\nparams: {who: {type: string}}\nsteps: {a: {value: \"{{ params.who }}\"}}\n"
        "result: \"{{ steps.a.output }}\"\n");
    dir.write(
        "rows.yaml",
        "sluice: 1\nparams: {rows: {type: array}}\nsteps: {a: {value: \"{{ params.rows }}\"}}\n"
        "result: \"{{ steps.a.output }}\"\n");
    dir.write("rows.jsonl", "{\"a\": 1}\n{\"a\": \n");
    dir.write("closed.yaml",
              "sluice: 1\ntools: {web: {kind: http, url: \"http://127.0.0.1:9\"}}\n"
              "steps: {a: {tool: web, retry: {attempts: 1}}}\nresult: \"{{ steps.a.output }}\"\n");
  }
};

TEST_P(WrongInputs, AreAnsweredKindly) {
  auto ran = run(GetParam().arguments);
  EXPECT_EQ(ran.exit_code, GetParam().exit_code) << ran.out << ran.err;
  EXPECT_THAT(ran.out + ran.err, HasSubstr(GetParam().says));
}

INSTANTIATE_TEST_SUITE_P(
    Beginner, WrongInputs,
    testing::Values(
        WrongInput{"nothing", {}, 3, "Examples:"},
        WrongInput{"misspelt_command", {"rnu", "plan.yaml"}, 3, "did you mean run?"},
        WrongInput{"plan_without_run", {"plan.yaml"}, 3, "did you mean: sluice run plan.yaml"},
        WrongInput{
            "misspelt_option", {"run", "plan.yaml", "--prama", "n=1"}, 3, "did you mean --param"},
        WrongInput{"no_plan", {"run"}, 3, "PLAN is required"},
        WrongInput{"missing_file", {"run", "plam.yaml"}, 3, "did you mean plan.yaml?"},
        WrongInput{"directory", {"run", "folder"}, 3, "did you mean folder/plan.yaml?"},
        WrongInput{"empty", {"run", "empty.yaml"}, 2, "empty"},
        WrongInput{"tabs", {"run", "tabs.yaml"}, 2, "tabs.yaml:3:1: error"},
        WrongInput{"misspelt_key", {"run", "misspelt.yaml"}, 2, "did you mean steps?"},
        WrongInput{"pdf", {"run", "paper.pdf"}, 2, "PDF"},
        WrongInput{"huge", {"run", "huge.yaml"}, 2, "PLAN_TOO_LARGE"},
        WrongInput{"deep", {"run", "deep.yaml"}, 2, "deep.yaml:2:"},
        WrongInput{"no_model", {"run", "llm.yaml"}, 1, "make demo"},
        WrongInput{"model_is_text",
                   {"run", "llm.yaml", "--model", "text.gguf"},
                   1,
                   "not a GGUF model file"},
        WrongInput{"model_missing",
                   {"run", "llm.yaml", "--model", "test.gguf"},
                   1,
                   "did you mean text.gguf?"},
        WrongInput{"model_port_closed",
                   {"run", "llm.yaml", "--model", "http://127.0.0.1:9/v1#m"},
                   1,
                   "MODEL_UNREACHABLE"},
        WrongInput{"tool_port_closed", {"run", "closed.yaml"}, 1, "127.0.0.1:9"},
        WrongInput{
            "no_rights", {"run", "plan.yaml", "-o", "/proc/nowhere/out.json"}, 1, "cannot write"},
        WrongInput{"param_missing", {"run", "param.yaml"}, 2, "PARAM_MISSING"},
        WrongInput{"param_unknown", {"run", "param.yaml", "-p", "whoo=x"}, 2, "PARAM_UNKNOWN"},
        WrongInput{"param_type", {"run", "plan.yaml", "-p", "n=many"}, 2, "PARAM_INVALID"},
        WrongInput{"param_form", {"run", "plan.yaml", "-p", "n"}, 3, "NAME=VALUE"},
        WrongInput{"memory", {"run", "plan.yaml", "--memory", "lots"}, 3, "no amount of memory"},
        WrongInput{"rows_are_no_json",
                   {"run", "rows.yaml", "--input", "rows.jsonl"},
                   2,
                   "PARAM_INVALID: rows.jsonl: line 2"},
        WrongInput{"folder_missing", {"run", "plan.yaml", "--dir", "nowhere"}, 3, "nowhere"},
        WrongInput{"no_workers", {"run", "plan.yaml", "--workers", "0"}, 3, "1 to 1024\n"},
        WrongInput{
            "words_too_many", {"run", "plan.yaml", "one", "two"}, 3, "not expected: one two"},
        WrongInput{"misspelt_runs_command", {"runs", "shwo", "last"}, 3, "did you mean show?"},
        WrongInput{"runs_command_without_run", {"runs", "show"}, 3, "sluice runs show --help"},
        WrongInput{"misspelt_option_of_runs_command",
                   {"runs", "show", "last", "--jsno"},
                   3,
                   "did you mean --json?"},
        WrongInput{"limit_below_one", {"runs", "-n", "-1"}, 3, "--limit"},
        WrongInput{"version_as_option", {"--version"}, 0, "sluice "}),
    [](const auto& info) { return std::string(info.param.name); });

TEST_F(Program, StarterPlanRunsAsItStands) {
  auto made = run({"init", "hello"});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  auto checked = run({"check", "hello/plan.yaml"});
  EXPECT_EQ(checked.exit_code, 0) << checked.out;
  EXPECT_THAT(checked.out, testing::Not(HasSubstr("warning")));
  // There is no model here: the one step that asks it is skipped.
  auto ran = run({"run", "hello/plan.yaml"});
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("notes/monday.txt: 26 words"));
  auto asked = run({"run", "hello/plan.yaml", "--param", "summarize=true"});
  EXPECT_EQ(asked.exit_code, 1);
  EXPECT_THAT(asked.err, HasSubstr("make demo"));
  EXPECT_EQ(run({"init", "hello"}).exit_code, 3) << "it replaces nothing";
}

TEST_F(Program, FailuresTellTheirChain) {
  dir.write("p.yaml", R"(sluice: 1
steps:
  n: {value: [1, 0, 2]}
  part:
    for_each: "{{ steps.n.output }}"
    value: "{{ 10 / item }}"
result: "{{ steps.part.output }}"
)");
  auto ran = run({"run", "p.yaml"});
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.err, HasSubstr("part[1]"));
  EXPECT_THAT(ran.err, HasSubstr("because EXPR_ARITHMETIC"));
  EXPECT_THAT(ran.err, HasSubstr("next:"));
}

TEST_F(Program, InterruptsRunningTools) {
  dir.write("p.yaml", R"(sluice: 1
tools: {sleep: {kind: process, command: [sleep], effect: read}}
steps:
  a: {tool: sleep, with: {args: ["30"]}}
result: "{{ steps.a.output }}"
)");
  ProgramInput input;
  input.directory = dir.path();
  input.environment = environment;
  input.interrupt_after_ms = 700;
  input.interrupts = 2;
  auto ran = run_program({"run", "p.yaml"}, input);
  EXPECT_EQ(ran.exit_code, 130) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("Ctrl-C again"));
}

TEST_F(Program, SecretsStayInside) {
  dir.write("p.yaml", R"(sluice: 1
tools:
  show: {kind: process, command: [printenv, KEY], stdout: text, effect: read, env: {KEY: {env: MY_KEY}}}
steps: {a: {tool: show}}
result: "{{ steps.a.output }}"
)");
  EXPECT_THAT(run({"run", "p.yaml"}).err, HasSubstr("export MY_KEY="));
  environment["MY_KEY"] = "hush-hush-42";
  for (const auto& more : {std::vector<std::string>{}, std::vector<std::string>{"--json"}}) {
    std::vector<std::string> arguments{"run", "p.yaml"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    auto ran = run(arguments);
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    EXPECT_THAT(ran.out, HasSubstr("[secret]"));
    EXPECT_THAT(ran.out + ran.err, testing::Not(HasSubstr("hush-hush-42")));
  }
}

TEST_F(Program, ExplainsInFourFormats) {
  dir.write("p.yaml", kDouble);
  EXPECT_THAT(run({"explain", "p.yaml"}).out, HasSubstr("longest path: twice"));
  EXPECT_THAT(run({"explain", "p.yaml", "--format", "dot"}).out, HasSubstr("digraph"));
  EXPECT_THAT(run({"explain", "p.yaml", "--format", "mermaid"}).out, HasSubstr("flowchart"));
  EXPECT_TRUE(parse_json(run({"explain", "p.yaml", "--format", "json"}).out).has_value());
  EXPECT_EQ(run({"explain", "p.yaml", "--format", "svg"}).exit_code, 3);
}

TEST_F(Program, ListsToolsAndModels) {
  dir.write(
      "p.yaml",
      "sluice: 1\ntools: {db: {kind: sql}}\nsteps: {a: {tool: db.query, with: {sql: select 1}}}\n"
      "result: \"{{ steps.a.output }}\"\n");
  EXPECT_THAT(run({"tools"}).out, HasSubstr("query(sql, args?, tables?)"));
  auto tools = run({"tools", "p.yaml"});
  EXPECT_EQ(tools.exit_code, 0) << tools.err;
  EXPECT_THAT(tools.out, HasSubstr("db (sql)"));
  EXPECT_TRUE(parse_json(run({"tools", "--json"}).out).has_value());
  EXPECT_THAT(run({"models", "p.yaml"}).out, HasSubstr("uses no model"));
  auto models = run({"models"});
  EXPECT_EQ(models.exit_code, 1);
  EXPECT_THAT(models.out, HasSubstr("make demo"));
}

TEST_F(Program, SaysKindlyThatNothingWasRecordedYet) {
  environment["SLUICE_JOURNAL"] = "";
  environment["XDG_STATE_HOME"] = dir.path() / "state";
  for (const auto& command : std::vector<std::vector<std::string>>{
           {"runs"}, {"approve"}, {"runs", "check"}, {"runs", "gc", "--older-than", "30d"}}) {
    auto ran = run(command);
    EXPECT_EQ(ran.exit_code, 0) << command.back() << ran.err;
    EXPECT_EQ(ran.out, "") << command.back();
    EXPECT_THAT(ran.err, HasSubstr("no run was recorded yet")) << command.back();
  }
  EXPECT_EQ(run({"runs", "show", "last"}).exit_code, 3);
  EXPECT_EQ(run({"runs", "--journal", "nowhere.db"}).exit_code, 3) << "a place that was named";
}

TEST_F(Program, TellsItsVersionAndHelps) {
  EXPECT_THAT(run({"version"}).out, HasSubstr("sluice "));
  auto help = run({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_THAT(help.out, HasSubstr("sluice init hello"));
  EXPECT_THAT(run({"run", "--help"}).out, HasSubstr("--input-param"));
  for (const char* shell : {"bash", "zsh", "fish"}) {
    auto script = run({"completion", shell});
    EXPECT_EQ(script.exit_code, 0);
    EXPECT_THAT(script.out, HasSubstr("explain")) << shell;
  }
}

}  // namespace
}  // namespace sluice::cli
