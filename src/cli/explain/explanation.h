// What explain tells, before it is printed in one of five forms: the plan that runs, what it is
// expected to cost, what optimizer passes made of it, and beside that what a run really did. Made
// once; the printers are pure. The main thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/plan_graph.h"
#include "cli/quality_text.h"
#include "cli/terminal.h"
#include "cost/plan_cost.h"
#include "cost/what_if.h"
#include "data/value.h"
#include "host/runs/run_header.h"
#include "host/runs/run_profile.h"
#include "optimize/optimizer.h"

namespace sluice::cli {

struct ExplainedStep {
  std::string id;
  std::string operation;
  std::optional<StepEstimate> estimate;
  std::optional<StepProfile> actual;
  bool critical = false;  // on the critical path: the run's where there is one
};

// A pass, and whether it ran.
struct ExplainedPass {
  std::string_view name;
  bool off = false;
  bool not_allowed = false;  // it runs only where the plan says `allow`
};

// A run that was, beside what was expected of it.
struct RunAnalysis {
  std::string run_id;
  std::string status;
  RunProfile profile;
  std::optional<WhatIf> what_if;  // nullopt: it cannot be told
};

struct Explanation {
  std::string title;  // the plan's file
  PlanPtr plan;
  PlanGraph graph;
  std::vector<ExplainedStep> steps;  // the graph's order; steps of produced plans among them
  PlanEstimate expected;
  std::optional<PlanEstimate> as_written;  // where passes changed what is expected
  // Of a run only those that did or refused something, or were off; empty: it was not recorded.
  std::vector<ExplainedPass> passes;
  std::vector<PassNote> notes;
  double planning_s = 0;
  std::vector<std::string> remarks;       // what the estimates were made without
  std::optional<AllowedQuality> quality;  // of passes that may change results
  std::optional<RunAnalysis> run;
};

// Of a plan that is to run.
Explanation explain_plan(std::string title, PlanPtr plan, const OptimizedPlan& optimized,
                         const OptimizerSettings& settings);
// What passes did for a run, as its journal has it; `before` outlives `explained`. Nothing, of a
// run of an older program.
void add_passes_of_run(const RunSurroundings& before, Explanation& explained);
// Of a run, by what its journal has.
Explanation explain_run(std::string title, PlanPtr plan, const PhysicalPlan& physical,
                        PlanEstimate expected, RunAnalysis run);

std::string explain_text(const Explanation& explained, const Terminal& terminal);
std::string explain_dot(const Explanation& explained);
std::string explain_mermaid(const Explanation& explained);
Value explain_json(const Explanation& explained);
std::string explain_html(const Explanation& explained);

// It is expected to call something itself; a sub-plan's calls are those of its steps.
bool expects_calls(const ExplainedStep& step);

// One hop of a run's critical path: a step's tasks that follow each other are one.
struct PathHop {
  std::string label;  // "ask[3]", "n (31 tasks)"
  std::int64_t waited_ns = 0;
  std::int64_t worked_ns = 0;
};
std::vector<PathHop> path_hops(const RunProfile& profile);
// "4 more places for tool:db.query", "step ask 2 times as fast"
std::string change_text(const Change& change, std::uint32_t one_of);
// A sentence each: why the paper run is not the real one, what was sampled.
std::vector<std::string> analysis_remarks(const RunAnalysis& run);

}  // namespace sluice::cli
