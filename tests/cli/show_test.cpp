// What people and programs see of a run: progress, numbers, the graph, the trace.
#include <gtest/gtest.h>

#include "cli/messages.h"
#include "cli/numbers_text.h"
#include "cli/plan_graph.h"
#include "cli/progress.h"
#include "cli/run_report.h"
#include "cli/trace_json.h"
#include "data/json.h"
#include "plan/lower.h"
#include "plan/parse.h"
#include "plan/tool_catalog.h"

namespace sluice::cli {
namespace {

TEST(Numbers, ReadAsPeopleSayThem) {
  EXPECT_EQ(seconds_text(400'000), "0.4 ms");
  EXPECT_EQ(seconds_text(12'300'000'000), "12.3 s");
  EXPECT_EQ(seconds_text(245 * kNsPerSecond), "4 min 05 s");
  EXPECT_EQ(seconds_text(7260 * kNsPerSecond), "2 h 01 min");
  EXPECT_EQ(count_text(0), "0");
  EXPECT_EQ(count_text(999), "999");
  EXPECT_EQ(count_text(1'234'567), "1,234,567");
  EXPECT_EQ(bytes_text(98'362'432), "93.8 MiB");
}

// At a terminal: a task of a stream's item may be done before the item is counted.
TEST(Progress, IsDrawnWhenMoreIsDoneThanKnown) {
  RunSummary summary;
  summary.start_ns = 1;
  summary.steps.push_back({.id = "flows", .known = 1, .done = 3, .running = 1});
  Progress progress(Terminal{.interactive = true});
  ::testing::internal::CaptureStderr();
  progress.show(summary, {}, 2 * kNsPerSecond);
  progress.clear();
  const std::string drawn = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(drawn.find("[################] 3/3+, 1 running"), std::string::npos) << drawn;
}

TEST(Rates, ForgetWhatIsLongAgo) {
  Rates rates;
  EXPECT_EQ(rates.tasks_per_second(), 0);
  for (int second = 0; second <= 20; ++second) {
    const auto tasks = static_cast<std::uint64_t>(second < 10 ? 0 : (second - 10) * 5);
    rates.sample(second * kNsPerSecond, tasks, tasks * 10);
  }
  EXPECT_NEAR(rates.tasks_per_second(), 5, 0.01);
  EXPECT_NEAR(rates.tokens_per_second(), 50, 0.1);
}

TEST(TimeLeft, IsThatOfTheSlowestStep) {
  RunSummary summary;
  EXPECT_FALSE(time_left_ns(summary, 0).has_value());
  StepSummary fast{.id = "fast", .known = 100, .done = 50, .first_ns = 1};
  StepSummary slow{.id = "slow", .known = 100, .done = 10, .first_ns = 1};
  summary.steps = {fast, slow};
  const SteadyNs now = 10 * kNsPerSecond + 1;
  EXPECT_EQ(time_left_ns(summary, now), 90 * kNsPerSecond);
  summary.steps[1].done = 0;
  EXPECT_FALSE(time_left_ns(summary, now).has_value()) << "nobody can tell yet";
}

PlanGraph graph_of_text(const char* text) {
  ParsedPlan parsed = parse_plan(text, "p.yaml");
  EXPECT_TRUE(parsed.plan != nullptr && !parsed.diagnostics.has_errors());
  auto catalog = catalog_of(*parsed.plan);
  auto lowered = lower_plan(parsed.plan, *catalog);
  EXPECT_TRUE(lowered.has_value());
  return graph_of(**lowered);
}

constexpr const char* kPlan = R"(
sluice: 1
steps:
  list: {value: [1, 2]}
  twice:
    for_each: "{{ steps.list.output }}"
    value: "{{ item * 2 }}"
  thrice:
    for_each: "{{ steps.twice.output }}"
    value: "{{ item * 3 }}"
  total: {value: "{{ steps.thrice.output | sum }}"}
  last: {after: [total], value: 1}
result: "{{ steps.total.output }}"
)";

TEST(Graph, TellsFlowFromWait) {
  const PlanGraph graph = graph_of_text(kPlan);
  ASSERT_EQ(graph.nodes.size(), 5u);
  auto kind = [&](std::string_view from, std::string_view to) -> std::string {
    for (const GraphEdge& edge : graph.edges) {
      if (edge.from == from && edge.to == to) return edge.kind;
    }
    return "";
  };
  EXPECT_EQ(kind("twice", "thrice"), "flow");
  EXPECT_EQ(kind("thrice", "total"), "wait");
  EXPECT_EQ(kind("total", "last"), "order");
  EXPECT_EQ(graph.result, std::vector<std::string>{"total"});
  EXPECT_EQ(graph.longest_path,
            (std::vector<std::string>{"list", "twice", "thrice", "total", "last"}));
}

TEST(Graph, PrintsInEveryFormat) {
  const PlanGraph graph = graph_of_text(kPlan);
  EXPECT_NE(graph_dot(graph).find("\"twice\" -> \"thrice\" [style=bold"), std::string::npos);
  EXPECT_NE(graph_mermaid(graph).find("s_twice ==>|flow| s_thrice"), std::string::npos);
  const Value json = graph_json(graph);
  EXPECT_EQ(json.find("nodes")->size(), 5u);
  const std::string text = graph_text(graph, "p.yaml", *parse_plan(kPlan, "p.yaml").plan);
  EXPECT_NE(text.find("flows from twice"), std::string::npos) << text;
  EXPECT_NE(text.find("longest path: list -> twice"), std::string::npos) << text;
}

TEST(Trace, IsOneJsonObjectALine) {
  PhysicalStep step;
  step.logical_ids = {"headline"};
  step.mapped = true;
  const Error error = Error(ErrorCode::kTimeout, "slow").with_cause(Error(ErrorCode::kIo, "disk"));
  TraceEvent event;
  event.at = 1'500'000;
  event.kind = TraceKind::kTaskFailed;
  event.step = &step;
  event.call.task = {0, 0, 7};
  event.error = &error;
  const std::string line = trace_line(event);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  auto parsed = parse_json(line);
  ASSERT_TRUE(parsed.has_value()) << line;
  EXPECT_EQ(parsed->find("step")->as_string(), "headline");
  EXPECT_EQ(parsed->find("item")->as_int(), 7);
  EXPECT_EQ(parsed->find("at_ms")->as_double(), 1.5);
  EXPECT_EQ(parsed->find("error")->find("cause")->find("code")->as_string(), "IO");
}

TEST(Messages, PointAtTheColumn) {
  Terminal terminal;
  terminal.interactive = true;
  SourceLines sources;
  sources.add("p.yaml", "sluice: 1\nsteps:\n  a: {wiht: 1}\n");
  Diagnostics findings;
  findings.error(ErrorCode::kKeyUnknown, {0, 3, 7}, "no key wiht");
  const std::string text = diagnostics_text(findings, {"p.yaml"}, sources, terminal);
  EXPECT_NE(text.find("p.yaml:3:7: error KEY_UNKNOWN: no key wiht\n"
                      "      a: {wiht: 1}\n"
                      "          ^\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("docs/errors/KEY_UNKNOWN.md"), std::string::npos);
}

TEST(Messages, LetNoControlCharactersThrough) {
  EXPECT_EQ(harmless("a\x1b[31mb\r\nc\td\x7f"), "a\\x1b[31mb\\x0d\nc\td\\x7f");
}

TEST(Report, TellsTheWholeChainAndWhatNext) {
  RunReport report;
  report.run_id = "r1";
  report.outcome.status = RunStatus::kFailed;
  report.outcome.failed_tasks = 3;
  report.outcome.errors.push_back(
      Error(ErrorCode::kStepFailed, "step text[7] failed", {0, 4, 3})
          .with_cause(Error(ErrorCode::kToolFailed, "the tool said: no such table")));
  report.summary.steps.push_back(
      {.id = "text", .operator_name = "tool", .known = 9, .done = 8, .failed = 1});
  const std::string text = run_report_text(report, {"p.yaml", {"p.yaml"}, {}});
  for (const char* part : {"run r1 failed", "p.yaml:4:3: error STEP_FAILED: step text[7] failed",
                           "because TOOL_FAILED: the tool said: no such table", "and 2 more failed",
                           "next: sluice explain p.yaml"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  }
}

}  // namespace
}  // namespace sluice::cli
