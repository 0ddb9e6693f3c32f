// What explain tells, in each of its forms: of a plan with estimates and passes, and of a run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <limits>

#include "cli/explain/estimate_text.h"
#include "cli/explain/explanation.h"
#include "cli/explain/html_parts.h"
#include "data/json.h"
#include "plan/lower.h"
#include "plan/parse.h"
#include "plan/tool_catalog.h"
#include "tests/cli/program.h"
#include "tests/host/scratch_dir.h"

namespace sluice::cli {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kPlan = R"(
sluice: 1
steps:
  rows: {value: [1, 2]}
  ask:
    for_each: "{{ steps.rows.output }}"
    llm: default
    with: {prompt: "{{ item }}?"}
  total: {value: "{{ steps.ask.output | length }}"}
result: "{{ steps.total.output }}"
)";

Estimate range(double low, double middle, double high, EstimateSource source) {
  return {middle, low, high, source};
}

struct Lowered {
  PlanPtr plan;
  PhysicalPlanPtr physical;
};
Lowered lowered(const char* text) {
  ParsedPlan parsed = parse_plan(text, "p.yaml");
  EXPECT_TRUE(parsed.plan != nullptr && !parsed.diagnostics.has_errors());
  auto physical = lower_plan(parsed.plan, *catalog_of(*parsed.plan));
  EXPECT_TRUE(physical.has_value());
  return {parsed.plan, *physical};
}

PlanEstimate expected(double calls) {
  PlanEstimate estimate;
  StepEstimate rows{.id = "rows", .rows = Estimate::exact(1), .selectivity = Estimate::exact(1)};
  StepEstimate ask = rows;
  ask.id = "ask";
  ask.rows = Estimate::exact(calls);
  ask.calls = Estimate::exact(calls);
  ask.prompt_tokens = range(90, 100, 110, EstimateSource::kHistory);
  ask.completion_tokens = range(10, 20, 30, EstimateSource::kHistory);
  ask.busy_s = range(8, 12, 16, EstimateSource::kHistory);
  ask.critical = true;
  StepEstimate total = rows;
  total.id = "total";
  estimate.steps = {rows, ask, total};
  estimate.seconds = range(8, 12, 16, EstimateSource::kHistory);
  estimate.calls = Estimate::exact(calls);
  estimate.prompt_tokens = range(90 * calls, 100 * calls, 110 * calls, EstimateSource::kHistory);
  estimate.completion_tokens = Estimate::exact(20 * calls);
  return estimate;
}

Explanation of_plan() {
  const Lowered plan = lowered(kPlan);
  OptimizedPlan optimized;
  optimized.physical = plan.physical;
  optimized.rewritten = plan.plan;
  optimized.before = expected(4);
  optimized.after = expected(2);
  optimized.before.seconds = Estimate::exact(25);
  const auto passes = optimizer_passes();
  if (passes.size() >= 2) {
    PassNote did{.pass = passes[0].name, .step = "ask", .text = "same as <other>: done once"};
    did.saved_calls = 2;
    did.saved_s = 13;
    PassNote refused{.pass = passes[1].name, .refused = true, .step = "total"};
    refused.text = "its status is read";
    optimized.notes = {did, refused};
  }
  Explanation made = explain_plan("p.yaml", plan.plan, optimized, {});
  made.remarks = {"model default was not measured"};
  return made;
}

// `ask` had one place: its second call waited a second.
Explanation of_run() {
  const Lowered plan = lowered(kPlan);
  RunAnalysis run;
  run.run_id = "01kd";
  run.status = "succeeded";
  RunProfile& profile = run.profile;
  profile.end_ns = 3 * kNsPerSecond;
  profile.tasks = 4;
  for (const char* id : {"rows", "ask", "total"}) profile.steps.push_back({.id = id});
  StepProfile& ask = profile.steps[1];
  ask.tasks = ask.done = ask.calls = 2;
  ask.usage.prompt_tokens = 200;
  ask.busy_ns = ask.working_ns = 3 * kNsPerSecond;
  ask.waiting_ns = kNsPerSecond;
  RealizedRun& realized = profile.realized;
  realized.steps = {"rows", "ask", "total"};
  realized.pools = {{"model:default", 1}};
  realized.tasks = {{0, 0, 0, {}, {}},
                    {1, 0, kNsPerSecond, {0}, {0}},
                    {1, kNsPerSecond, 3 * kNsPerSecond, {0}, {0}},
                    {kNoTask, 3 * kNsPerSecond, 3 * kNsPerSecond, {1, 2}, {}},
                    {2, 3 * kNsPerSecond, 3 * kNsPerSecond, {3}, {}}};
  profile.labels = {"rows", "ask[0]", "ask[1]", "", "total"};
  profile.critical = {2};
  run.what_if = try_changes(realized, possible_changes(realized));
  return explain_run("p.yaml", plan.plan, *plan.physical, expected(2), std::move(run));
}

TEST(EstimateText, SaysAsMuchAsIsKnown) {
  EXPECT_EQ(amount_text(0.26), "0.3");
  EXPECT_EQ(amount_text(12.4), "12");
  EXPECT_EQ(amount_text(3640), "3,640");
  EXPECT_EQ(amount_text(std::numeric_limits<double>::infinity()), "1,000,000,000,000,000");
  EXPECT_EQ(length_text(1e-6), "");
  EXPECT_EQ(length_text(12.1), "12.1 s");
  EXPECT_EQ(length_text(range(8, 12, 16, EstimateSource::kSample)), "12.0 s (8.0 s to 16.0 s)");
  EXPECT_EQ(length_text(Estimate::exact(12)), "12.0 s");
  EXPECT_EQ(amount_text(range(9, 10, 11, EstimateSource::kDefault)), "10 (9 to 11)");
  EXPECT_EQ(factor_text(3, 2), "1.5x");
  EXPECT_EQ(factor_text(1, 50), "0.02x");
  EXPECT_EQ(factor_text(500, 2), "250x");
  EXPECT_EQ(factor_text(1, 0), "");
  EXPECT_EQ(money_text(0.0123), "0.0123 usd");
}

TEST(Explain, OfAPlanTellsWhatIsExpectedAndWhatPassesDid) {
  const std::string text = explain_text(of_plan(), {});
  EXPECT_THAT(text, HasSubstr("p.yaml: 3 steps"));
  EXPECT_THAT(text, HasSubstr("longest path: rows -> ask -> total"));
  EXPECT_THAT(text, HasSubstr("> ask"));
  EXPECT_THAT(text, HasSubstr("12.0 s (8.0 s to 16.0 s)  history"));
  EXPECT_THAT(text,
              HasSubstr("the whole run: 12.0 s (8.0 s to 16.0 s), 2 calls, 240 (220 to 260)"));
  EXPECT_THAT(text, HasSubstr("as it is written: 25.0 s, 4 calls"));
  EXPECT_THAT(text, HasSubstr("model default was not measured"));
  const auto passes = optimizer_passes();
  ASSERT_GE(passes.size(), 3u);
  EXPECT_THAT(text, HasSubstr("ask: same as <other>: done once (saves 2 calls, 13.0 s)"));
  EXPECT_THAT(text, HasSubstr("total: left alone: its status is read"));
  EXPECT_THAT(text, HasSubstr("nothing to do for " + std::string(passes[2].name)));
}

TEST(Explain, NotesWithTheSameWordsAreOneLine) {
  const Lowered plan = lowered(kPlan);
  OptimizedPlan optimized;
  optimized.physical = plan.physical;
  optimized.rewritten = plan.plan;
  const auto passes = optimizer_passes();
  ASSERT_GE(passes.size(), 2u);
  auto note = [&](std::size_t pass, const std::string& step, const std::string& words,
                  bool refused = false) {
    PassNote made{.pass = passes[pass].name, .refused = refused, .step = step, .text = words};
    if (!refused) made.saved_calls = 2;
    optimized.notes.push_back(std::move(made));
  };
  for (int i = 0; i < 12; ++i) {
    note(0, "many" + std::to_string(i), "asked once");
    if (i < 3) note(0, "few" + std::to_string(i), "asked twice");
    if (i < 2) note(1, "left" + std::to_string(i), "asked once", true);
  }
  note(1, "alone", "asked once");
  note(1, "", "of the plan");
  const Explanation explained = explain_plan("p.yaml", plan.plan, optimized, {});
  const std::string text = explain_text(explained, {});
  EXPECT_THAT(text, HasSubstr("  12 steps: asked once (saves 24 calls)\n"));
  EXPECT_THAT(text, HasSubstr("  few0, few1, few2: asked twice (saves 6 calls)\n"));
  EXPECT_THAT(text, HasSubstr("  left0, left1: left alone: asked once\n"));
  EXPECT_THAT(text, HasSubstr("  alone: asked once (saves 2 calls)\n"));
  EXPECT_THAT(text, HasSubstr("  of the plan (saves 2 calls)\n"));
  EXPECT_THAT(text, Not(HasSubstr("many3")));
  EXPECT_THAT(to_json(explain_json(explained)), HasSubstr("many3"));
}

// What nobody knows is no 0 s from an exact source.
TEST(Explain, SaysWhatIsWaitedFor) {
  const Lowered plan = lowered(kPlan);
  OptimizedPlan optimized;
  optimized.physical = plan.physical;
  optimized.after = optimized.before = expected(2);
  optimized.after.steps[0].unknown_wait = true;
  Explanation made = explain_plan("p.yaml", plan.plan, optimized, {});
  const std::string text = explain_text(made, {});
  EXPECT_THAT(text, HasSubstr("240 (220 to 260) tokens, plus what rows waits for\n"));
  EXPECT_THAT(text, ContainsRegex("  rows +1 +unknown"));
  EXPECT_THAT(explain_html(made), HasSubstr("plus what rows waits for"));
  EXPECT_EQ(to_json(*explain_json(made).find("expected")->find("unknown_waits")), "[\"rows\"]");
  made.expected.steps[2].unknown_wait = true;
  EXPECT_EQ(waits_text(made.expected), "plus what rows and total wait for");
  PlanEstimate many;
  many.steps.resize(5, made.expected.steps[2]);
  EXPECT_EQ(waits_text(many), "plus what 5 steps wait for");
  EXPECT_EQ(waits_text({}), "");
}

TEST(Explain, SaysWhatIsSwitchedOff) {
  const Lowered plan = lowered(kPlan);
  OptimizedPlan optimized;
  optimized.physical = plan.physical;
  const std::string_view name = optimizer_passes().front().name;
  OptimizerSettings settings;
  settings.without.emplace(name);
  const std::string text = explain_text(explain_plan("p", plan.plan, optimized, settings), {});
  EXPECT_THAT(text, HasSubstr("switched off: " + std::string(name)));
}

TEST(Explain, OfARunSetsActualBesideEstimated) {
  const std::string text = explain_text(of_run(), {});
  EXPECT_THAT(text, HasSubstr("run 01kd succeeded: actual (estimated)"));
  EXPECT_THAT(text, HasSubstr("3.0 s (12.0 s)"));
  EXPECT_THAT(text, HasSubstr("0.25x"));
  EXPECT_THAT(text, HasSubstr("200 (240)"));
  EXPECT_THAT(text, HasSubstr("critical path: ask[1] 2.0 s (after waiting 1.0 s)"));
  EXPECT_THAT(text, HasSubstr("what would help most"));
  // Twice as fast: 0.5 + 1 s of 3. With a second place the longer one ends after 2 s.
  EXPECT_THAT(text, ContainsRegex("step ask twice as fast +1.5 s less"));
  EXPECT_THAT(text, ContainsRegex("1 more place for model:default +1.0 s less"));
  EXPECT_THAT(text, ContainsRegex("model:default 1.5 times as fast +1.0 s less"));
}

TEST(Explain, JsonKeepsTheGraphAndAddsTheRest) {
  const Value plan = explain_json(of_plan());
  EXPECT_EQ(plan.find("nodes")->size(), 3u);
  EXPECT_EQ(plan.find("longest_path")->size(), 3u);
  const Value& ask = plan.find("steps")->items()[1];
  EXPECT_EQ(ask.find("step")->as_string(), "ask");
  EXPECT_TRUE(ask.find("critical")->as_bool());
  EXPECT_EQ(ask.find("estimate")->find("seconds")->find("source")->as_string(), "history");
  EXPECT_EQ(plan.find("expected")->find("seconds")->find("middle")->as_double(), 12);
  EXPECT_EQ(plan.find("as_written")->find("seconds")->find("middle")->as_double(), 25);
  EXPECT_EQ(plan.find("passes")->size(), optimizer_passes().size());
  const Value run = explain_json(of_run());
  const Value* changes = run.find("run")->find("what_if")->find("changes");
  ASSERT_NE(changes, nullptr);
  EXPECT_EQ(changes->size(), 3u);
  EXPECT_EQ(run.find("run")->find("critical_path")->items()[0].find("task")->as_string(), "ask[1]");
  EXPECT_NEAR(run.find("steps")->items()[1].find("factor")->as_double(), 0.25, 1e-6);
  EXPECT_TRUE(parse_json(to_json(run)).has_value());
}

TEST(Explain, GraphsMarkTheCriticalPath) {
  EXPECT_THAT(explain_dot(of_plan()), HasSubstr("240 tokens"));
  EXPECT_THAT(explain_dot(of_plan()), HasSubstr("penwidth=2"));
  EXPECT_THAT(explain_mermaid(of_plan()), HasSubstr("class s_ask critical"));
  EXPECT_THAT(explain_dot(of_run()), HasSubstr("2 rows, 200 tokens, 3.0 s"));
}

// What a plan says is data, whatever it looks like.
TEST(Explain, EscapesWhatComesFromOutside) {
  const Lowered plan = lowered(R"(
sluice: 1
params: {p: {type: string}}
steps:
  w: {wait: {for: "{{ params.p ~ '<script>alert(1)</script>&' }}"}}
)");
  OptimizedPlan optimized;
  optimized.physical = plan.physical;
  PassNote note{.pass = optimizer_passes().front().name, .text = "<img src=x>"};
  optimized.notes = {note};
  const Explanation made = explain_plan("<title>\x01", plan.plan, optimized, {});
  const std::string page = explain_html(made);
  EXPECT_THAT(page, Not(HasSubstr("<script>alert")));
  EXPECT_THAT(page, Not(HasSubstr("<img")));
  EXPECT_THAT(page, HasSubstr("&lt;script&gt;alert(1)&lt;/script&gt;&amp;"));
  EXPECT_THAT(page, HasSubstr("<h1>&lt;title&gt;&#xFFFD;</h1>"));
  const std::string mermaid = explain_mermaid(made);
  EXPECT_THAT(mermaid, Not(HasSubstr("<script>")));
  EXPECT_THAT(mermaid, HasSubstr("#lt;script#gt;"));
}

std::size_t times(const std::string& text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

TEST(ExplainPage, NeedsNothingElse) {
  for (const Explanation& made : {of_plan(), of_run()}) {
    const std::string page = explain_html(made);
    EXPECT_TRUE(page.starts_with("<!DOCTYPE html>"));
    EXPECT_THAT(page, HasSubstr("prefers-color-scheme:dark"));
    EXPECT_THAT(page, HasSubstr("width=device-width"));
    for (const char* outside : {"http://", "https://", " src=", "@import", "<link", "url(h"}) {
      EXPECT_THAT(page, Not(HasSubstr(outside)));
    }
    for (const char* tag : {"table", "svg", "ul", "ol", "div", "g", "tr", "p", "section"}) {
      const std::string name = tag;
      EXPECT_EQ(times(page, "<" + name + ">") + times(page, "<" + name + " "),
                times(page, "</" + name + ">"))
          << name;
    }
  }
}

TEST(ExplainPage, DrawsTheRunAsBars) {
  const std::string page = explain_html(of_run());
  EXPECT_THAT(page, HasSubstr("ask[1]: 2.0 s from 1.0 s, after waiting 1.0 s"));
  EXPECT_EQ(times(page, "<rect class=\"work\""), 2u);
  EXPECT_EQ(times(page, "<rect class=\"wait\""), 1u);
  EXPECT_THAT(page, HasSubstr("<g class=\"critical\"><title>ask[1]"));
  EXPECT_THAT(explain_html(of_plan()), Not(HasSubstr("Timeline")));
}

TEST(ExplainPage, ManyTasksAreDrawnTogether) {
  RunProfile profile;
  profile.end_ns = 100 * kNsPerSecond;
  profile.realized.steps = {"a"};
  for (std::uint32_t at = 0; at <= kMostBars; ++at) {
    const std::int64_t start = at * 40 * kNsPerMs;
    profile.realized.tasks.push_back({0, start, start + kNsPerSecond, {}, {}});
    profile.labels.push_back("a[" + std::to_string(at) + "]");
  }
  // None waited for another: all could have begun at once.
  const std::string part = timeline_part(profile);
  EXPECT_THAT(part, Not(HasSubstr("<rect")));
  EXPECT_THAT(part, HasSubstr("a: 2,001 tasks, at most 2,001 at once"));
  EXPECT_LT(part.size(), 40'000u);
}

TEST(ExplainPage, HugePlansAreNotDrawn) {
  PlanGraph graph;
  for (std::size_t at = 0; at <= kMostDrawnNodes; ++at) {
    graph.nodes.push_back({.id = "s" + std::to_string(at)});
  }
  EXPECT_THAT(graph_part(graph), HasSubstr("401 steps are too many to draw"));
}

class ExplainProgram : public testing::Test {
 protected:
  void SetUp() override {
    if (program_path().empty()) GTEST_SKIP() << "SLUICE_BIN names no program";
  }
  ProgramResult run(const std::vector<std::string>& arguments) {
    ProgramInput input;
    input.directory = dir.path();
    input.environment = {{"SLUICE_CACHE", dir.path() / "cache"},
                         {"SLUICE_JOURNAL", dir.path() / "journal.db"},
                         {"SLUICE_MODEL", ""}};
    return run_program(arguments, input);
  }
  ScratchDir dir;
};

constexpr const char* kNeedsRows = R"(sluice: 1
params: {rows: {type: array, items: {type: integer}}, by: {type: integer, default: 2}}
steps:
  each: {for_each: "{{ params.rows }}", value: "{{ item * params.by }}"}
result: "{{ steps.each.output }}"
)";

TEST_F(ExplainProgram, WorksWithAndWithoutParameters) {
  dir.write("p.yaml", kNeedsRows);
  dir.write("rows.jsonl", "1\n2\n3\n4\n5\n6\n7\n");
  auto without = run({"explain", "p.yaml"});
  EXPECT_EQ(without.exit_code, 0) << without.err;
  EXPECT_THAT(without.out, HasSubstr("parameters that are not given: rows"));
  auto with = run({"explain", "p.yaml", "--input", "rows.jsonl", "--format", "json"});
  EXPECT_EQ(with.exit_code, 0) << with.err;
  auto json = parse_json(with.out);
  ASSERT_TRUE(json.has_value()) << with.out;
  EXPECT_EQ(
      json->find("steps")->items()[0].find("estimate")->find("rows")->find("middle")->as_double(),
      7);
  auto wrong = run({"explain", "p.yaml", "--param", "rows=[\"x\"]"});
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("PARAM_INVALID"));
}

TEST_F(ExplainProgram, AnalyzesARun) {
  dir.write("p.yaml", kNeedsRows);
  auto ran = run({"run", "p.yaml", "--param", "rows=[1,2,3]"});
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  auto text = run({"explain", "--analyze", "last"});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("succeeded: actual (estimated)"));
  EXPECT_THAT(text.out, HasSubstr("each"));
  auto page = run({"explain", "--analyze", "last", "--format", "html"});
  EXPECT_TRUE(page.out.starts_with("<!DOCTYPE html>")) << page.err;
}

TEST_F(ExplainProgram, SaysWhatItCannotTake) {
  dir.write("p.yaml", kNeedsRows);
  EXPECT_EQ(run({"explain"}).exit_code, 3);
  auto both = run({"explain", "p.yaml", "--analyze", "last"});
  EXPECT_EQ(both.exit_code, 3);
  EXPECT_THAT(both.err, HasSubstr("only one of them"));
  EXPECT_EQ(run({"explain", "p.yaml", "--without", "no_such_pass"}).exit_code, 3);
  EXPECT_EQ(run({"explain", "--analyze", "nosuchrun"}).exit_code, 3);
  EXPECT_EQ(run({"explain", "nosuch.yaml"}).exit_code, 3);
}

}  // namespace
}  // namespace sluice::cli
