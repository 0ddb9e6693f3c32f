#include "cli/explain/explanation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "cli/explain/estimate_text.h"
#include "cli/numbers_text.h"
#include "cli/summary_text.h"
#include "host/history/quality.h"

namespace sluice::cli {
namespace {

// A row for each step of the graph.
void add_steps(Explanation& made) {
  for (const GraphNode& node : made.graph.nodes) {
    ExplainedStep step;
    step.id = node.id;
    step.operation = node.operation + (node.mapped ? " *" : "");
    if (const StepEstimate* found = made.expected.find(node.id)) step.estimate = *found;
    step.critical = step.estimate && step.estimate->critical;
    made.steps.push_back(std::move(step));
  }
}

bool belongs_below(std::string_view id, std::string_view row) {
  const std::size_t slash = id.rfind('/');
  if (slash == std::string_view::npos) return false;
  const std::string_view caller = id.substr(0, slash);
  return row == caller || row.starts_with(id.substr(0, slash + 1));
}

// Steps of produced plans are in no graph: they stand below the step that ran them.
void add_unplanned(const StepProfile& profile, std::vector<ExplainedStep>& steps) {
  ExplainedStep step;
  step.id = profile.id;
  step.operation = profile.operator_name;
  step.actual = profile;
  auto place = steps.end();
  for (auto at = steps.begin(); at != steps.end(); ++at) {
    if (belongs_below(profile.id, at->id)) place = at + 1;
  }
  steps.insert(place, std::move(step));
}

void add_actual(Explanation& made) {
  const RunProfile& profile = made.run->profile;
  std::set<std::string> critical;
  for (std::uint32_t task : profile.critical) {
    critical.insert(profile.realized.steps[profile.realized.tasks[task].step]);
  }
  for (const StepProfile& step : profile.steps) {
    auto row = std::ranges::find_if(
        made.steps, [&](const ExplainedStep& one) { return one.id == step.id && !one.actual; });
    if (row != made.steps.end()) {
      row->actual = step;
    } else {
      add_unplanned(step, made.steps);
    }
  }
  for (ExplainedStep& step : made.steps) step.critical = critical.contains(step.id);
}

void mark_graph(Explanation& made) {
  for (GraphNode& node : made.graph.nodes) {
    auto row = std::ranges::find(made.steps, node.id, &ExplainedStep::id);
    if (row == made.steps.end()) continue;
    node.critical = row->critical;
    if (row->actual) {
      node.note = actual_note(*row->actual);
    } else if (row->estimate) {
      node.note = estimate_note(*row->estimate);
    }
  }
}

bool same_cost(const PlanEstimate& a, const PlanEstimate& b) {
  auto near = [](double left, double right) {
    return std::abs(left - right) <= 0.005 * std::max(std::abs(left), std::abs(right));
  };
  return near(a.seconds.middle, b.seconds.middle) && near(a.calls.middle, b.calls.middle) &&
         near(a.prompt_tokens.middle, b.prompt_tokens.middle) && near(a.usd.middle, b.usd.middle);
}

}  // namespace

Explanation explain_plan(std::string title, PlanPtr plan, const OptimizedPlan& optimized,
                         const OptimizerSettings& settings) {
  Explanation made;
  made.title = std::move(title);
  made.plan = std::move(plan);
  made.graph = graph_of(*optimized.physical);
  made.expected = optimized.after;
  if (!same_cost(optimized.before, optimized.after)) made.as_written = optimized.before;
  const auto allowed = allowed_passes(*made.plan);
  for (const PassInfo& pass : optimizer_passes()) {
    const bool off = settings.off || settings.without.contains(pass.name);
    const bool not_allowed = pass.kind != PassClass::kExact && !allowed.contains(pass.name);
    made.passes.push_back({pass.name, off, !off && not_allowed});
  }
  made.notes = optimized.notes;
  made.planning_s = optimized.seconds;
  add_steps(made);
  mark_graph(made);
  return made;
}

Explanation explain_run(std::string title, PlanPtr plan, const PhysicalPlan& physical,
                        PlanEstimate expected, RunAnalysis run) {
  Explanation made;
  made.title = std::move(title);
  made.plan = std::move(plan);
  made.graph = graph_of(physical);
  made.expected = std::move(expected);
  made.run = std::move(run);
  add_steps(made);
  add_actual(made);
  mark_graph(made);
  return made;
}

void add_passes_of_run(const RunSurroundings& before, Explanation& explained) {
  if (!before.notes) return;
  auto add = [&explained](std::string_view name, bool off) {
    auto known = std::ranges::find(explained.passes, name, &ExplainedPass::name);
    if (known == explained.passes.end()) explained.passes.push_back({name, off});
  };
  for (const RecordedNote& note : *before.notes) {
    explained.notes.push_back(note.note());
    add(note.pass, false);
  }
  for (const std::string& pass : before.without_passes) add(pass, true);
}

bool expects_calls(const ExplainedStep& step) {
  return step.estimate && step.estimate->calls.middle >= 0.05 &&
         !step.operation.starts_with("plan ");
}

std::vector<PathHop> path_hops(const RunProfile& profile) {
  std::vector<PathHop> hops;
  const std::vector<std::int64_t> ready = ready_times(profile.realized);
  std::uint32_t last_step = kNoTask;
  std::size_t together = 0;
  for (std::uint32_t task : profile.critical) {
    const RealizedTask& node = profile.realized.tasks[task];
    const std::int64_t waited = node.start_ns - ready[task];
    const std::int64_t worked = node.end_ns - node.start_ns;
    if (node.step == last_step) {
      PathHop& hop = hops.back();
      hop.waited_ns += waited;
      hop.worked_ns += worked;
      hop.label = fmt::format("{} ({} tasks)", profile.realized.steps[node.step], ++together);
      continue;
    }
    std::string label = profile.labels[task];
    if (label.empty()) label = profile.realized.steps[node.step];
    hops.push_back({std::move(label), waited, worked});
    last_step = node.step;
    together = 1;
  }
  return hops;
}

std::string change_text(const Change& change, std::uint32_t one_of) {
  switch (change.kind) {
    case Change::Kind::kMorePlaces: {
      const std::uint64_t places = std::uint64_t{change.places} * one_of;
      std::string where = change.name;
      if (change.name == "run") where = "the whole run (the plan's `concurrency`)";
      if (change.name.starts_with("step ")) where += " (its `concurrency`)";
      return fmt::format("{} more place{} for {}", places, places == 1 ? "" : "s", where);
    }
    case Change::Kind::kStepFaster:
      return fmt::format("step {} {} as fast", change.name,
                         change.factor == 2 ? "twice" : fmt::format("{} times", change.factor));
    case Change::Kind::kPoolFaster:
      return fmt::format("{} {} times as fast", change.name, change.factor);
    case Change::Kind::kNone:
      break;
  }
  return "nothing";
}

std::vector<std::string> analysis_remarks(const RunAnalysis& run) {
  std::vector<std::string> remarks;
  const RunProfile& profile = run.profile;
  for (const StepReplan& replan : profile.replans) {
    remarks.push_back(fmt::format("another form of {}: {}", replan.step, replan_text(replan)));
  }
  if (!profile.no_graph.empty()) {
    remarks.push_back("no critical path, no waiting times, nothing to suggest: " +
                      profile.no_graph);
    return remarks;
  }
  if (profile.one_of > 1) {
    remarks.push_back(fmt::format(
        "the run had {} tasks: the critical path, waiting times, the timeline and what would help "
        "were worked out from one of {} items",
        count_text(profile.tasks), profile.one_of));
  }
  if (!run.what_if) remarks.emplace_back("what would have helped cannot be told of this run");
  return remarks;
}

}  // namespace sluice::cli
