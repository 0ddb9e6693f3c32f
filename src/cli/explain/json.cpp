// explain for programs.
#include <cmath>

#include "cli/explain/estimate_text.h"
#include "cli/explain/explanation.h"
#include "cli/summary_text.h"

namespace sluice::cli {
namespace {

using Members = std::vector<Value::Member>;

Value text_value(std::string_view bytes) { return Value::from_utf8(bytes).value_or(Value()); }
Value number(std::uint64_t count) { return Value::integer(static_cast<std::int64_t>(count)); }
Value seconds(std::int64_t ns) {
  return Value::number(std::round(static_cast<double>(ns) / 1e3) / 1e6);
}

// Six digits: no estimate is better than that.
Value rounded(double value) {
  if (!std::isfinite(value)) return Value();
  if (value == 0) return Value::number(0);
  const double scale = std::pow(10.0, 5 - std::floor(std::log10(std::abs(value))));
  const double near = std::round(value * scale) / scale;
  return Value::number(std::isfinite(near) ? near : value);
}

Value estimate_value(const Estimate& estimate) {
  return Value::object({{"middle", rounded(estimate.middle)},
                        {"low", rounded(estimate.low)},
                        {"high", rounded(estimate.high)},
                        {"source", text_value(estimate_source_name(estimate.source))}});
}

Value step_estimate(const StepEstimate& step) {
  return Value::object({{"rows", estimate_value(step.rows)},
                        {"gives", step.gives ? estimate_value(*step.gives) : Value()},
                        {"selectivity", estimate_value(step.selectivity)},
                        {"calls", estimate_value(step.calls)},
                        {"distinct", estimate_value(step.distinct)},
                        {"prompt_tokens", estimate_value(step.prompt_tokens)},
                        {"completion_tokens", estimate_value(step.completion_tokens)},
                        {"call_seconds", estimate_value(step.call_s)},
                        {"seconds", estimate_value(step.busy_s)},
                        {"usd", estimate_value(step.usd)},
                        {"failure", estimate_value(step.failure)},
                        {"remaining_seconds", rounded(step.remaining_s)}});
}

Value plan_estimate(const PlanEstimate& plan) {
  std::vector<Value> waits;
  for (const std::string& id : unknown_waits(plan)) waits.push_back(text_value(id));
  return Value::object({{"seconds", estimate_value(plan.seconds)},
                        {"unknown_waits", Value::array(std::move(waits))},
                        {"usd", estimate_value(plan.usd)},
                        {"calls", estimate_value(plan.calls)},
                        {"prompt_tokens", estimate_value(plan.prompt_tokens)},
                        {"completion_tokens", estimate_value(plan.completion_tokens)}});
}

Value step_actual(const StepProfile& step) {
  return Value::object({{"rows", number(step.tasks)},
                        {"done", number(step.done)},
                        {"skipped", number(step.skipped)},
                        {"failed", number(step.failed)},
                        {"conditions", number(step.conditions)},
                        {"held", number(step.held)},
                        {"calls", number(step.calls)},
                        {"retries", number(step.retries)},
                        {"cached", number(step.cached)},
                        {"earlier", number(step.earlier)},
                        {"hedged", number(step.hedged)},
                        {"prompt_tokens", number(step.usage.prompt_tokens)},
                        {"shared_tokens", number(step.usage.cached_tokens)},
                        {"completion_tokens", number(step.usage.completion_tokens)},
                        {"usd", rounded(step.usage.usd)},
                        {"seconds", seconds(step.busy_ns)},
                        {"waiting_seconds", seconds(step.waiting_ns)},
                        {"working_seconds", seconds(step.working_ns)}});
}

Value steps_value(const Explanation& explained) {
  std::vector<Value> steps;
  for (const ExplainedStep& step : explained.steps) {
    Members members{{"step", text_value(step.id)}, {"critical", Value::boolean(step.critical)}};
    if (step.estimate) members.emplace_back("estimate", step_estimate(*step.estimate));
    if (step.actual) members.emplace_back("actual", step_actual(*step.actual));
    if (step.actual && expects_calls(step) && step.estimate->busy_s.middle > 0) {
      members.emplace_back(
          "factor", rounded(seconds_of(step.actual->busy_ns) / step.estimate->busy_s.middle));
    }
    steps.push_back(Value::object(std::move(members)));
  }
  return Value::array(std::move(steps));
}

Value passes_value(const Explanation& explained) {
  std::vector<Value> passes;
  for (const ExplainedPass& pass : explained.passes) {
    std::vector<Value> notes;
    for (const PassNote& note : explained.notes) {
      if (note.pass != pass.name) continue;
      Members members{{"step", text_value(note.step)},
                      {"refused", Value::boolean(note.refused)},
                      {"text", text_value(note.text)}};
      if (note.saved_calls) members.emplace_back("saved_calls", rounded(*note.saved_calls));
      if (note.saved_trips) {
        members.emplace_back("saved_round_trips", rounded(*note.saved_trips));
      }
      if (note.saved_tokens) members.emplace_back("saved_tokens", rounded(*note.saved_tokens));
      if (note.saved_s) members.emplace_back("saved_seconds", rounded(*note.saved_s));
      notes.push_back(Value::object(std::move(members)));
    }
    passes.push_back(Value::object({{"pass", text_value(pass.name)},
                                    {"off", Value::boolean(pass.off)},
                                    {"allowed", Value::boolean(!pass.not_allowed)},
                                    {"notes", Value::array(std::move(notes))}}));
  }
  return Value::array(std::move(passes));
}

Value quality_value(const AllowedQuality& known) {
  std::vector<Value> passes;
  for (const std::string& pass : known.passes) passes.push_back(text_value(pass));
  return Value::object({{"allowed", Value::array(std::move(passes))},
                        {"measured", known.measured ? encode_quality(*known.measured) : Value()}});
}

Value what_if_value(const RunAnalysis& run) {
  std::vector<Value> effects;
  for (const ChangeEffect& effect : run.what_if->effects) {
    Members members{{"change", text_value(change_text(effect.change, run.profile.one_of))},
                    {"of", text_value(effect.change.name)}};
    if (effect.change.kind == Change::Kind::kMorePlaces) {
      members.emplace_back("more_places",
                           number(std::uint64_t{effect.change.places} * run.profile.one_of));
    } else {
      members.emplace_back("times_as_fast", rounded(effect.change.factor));
    }
    members.emplace_back("saved_seconds", seconds(effect.saved_ns));
    effects.push_back(Value::object(std::move(members)));
  }
  return Value::object({{"unchanged_seconds", seconds(run.what_if->unchanged_ns)},
                        {"changes", Value::array(std::move(effects))}});
}

Value run_value(const RunAnalysis& run) {
  std::vector<Value> path;
  const std::vector<std::int64_t> ready = ready_times(run.profile.realized);
  for (std::uint32_t task : run.profile.critical) {
    const RealizedTask& node = run.profile.realized.tasks[task];
    path.push_back(Value::object({{"task", text_value(run.profile.labels[task])},
                                  {"step", text_value(run.profile.realized.steps[node.step])},
                                  {"start", seconds(node.start_ns - run.profile.start_ns)},
                                  {"waited", seconds(node.start_ns - ready[task])},
                                  {"worked", seconds(node.end_ns - node.start_ns)}}));
  }
  Members members{{"run", text_value(run.run_id)},
                  {"status", text_value(run.status)},
                  {"seconds", seconds(run.profile.end_ns - run.profile.start_ns)},
                  {"tasks", number(run.profile.tasks)},
                  {"one_of", number(run.profile.one_of)},
                  {"critical_path", Value::array(std::move(path))},
                  {"replans", replans_json(run.profile.replans)}};
  if (run.what_if) members.emplace_back("what_if", what_if_value(run));
  return Value::object(std::move(members));
}

}  // namespace

Value graph_json(const PlanGraph& graph) {
  auto texts = [](const std::vector<std::string>& list) {
    std::vector<Value> items;
    for (const std::string& item : list) items.push_back(Value::string(item));
    return Value::array(std::move(items));
  };
  std::vector<Value> nodes, edges;
  for (const GraphNode& node : graph.nodes) {
    nodes.push_back(Value::object({{"id", Value::string(node.id)},
                                   {"operation", text_value(node.operation)},
                                   {"effect", Value::string(node.effect)},
                                   {"resource", Value::string(node.resource)},
                                   {"limit", Value::integer(node.limit)},
                                   {"for_each", Value::boolean(node.mapped)},
                                   {"streams", Value::boolean(node.streams)},
                                   {"rank", Value::integer(node.rank)},
                                   {"modifiers", texts(node.modifiers)}}));
  }
  for (const GraphEdge& edge : graph.edges) {
    edges.push_back(Value::object({{"from", Value::string(edge.from)},
                                   {"to", Value::string(edge.to)},
                                   {"kind", Value::string(edge.kind)}}));
  }
  return Value::object({{"nodes", Value::array(std::move(nodes))},
                        {"edges", Value::array(std::move(edges))},
                        {"result", texts(graph.result)},
                        {"longest_path", texts(graph.longest_path)}});
}

Value explain_json(const Explanation& explained) {
  Members members;
  const Value graph = graph_json(explained.graph);
  for (const Value::Member& member : graph.members()) members.push_back(member);
  std::vector<Value> remarks;
  for (const std::string& remark : explained.remarks) remarks.push_back(text_value(remark));
  members.emplace_back("steps", steps_value(explained));
  members.emplace_back("expected", plan_estimate(explained.expected));
  if (explained.as_written) {
    members.emplace_back("as_written", plan_estimate(*explained.as_written));
  }
  if (!explained.run || !explained.passes.empty()) {
    members.emplace_back("passes", passes_value(explained));
  }
  if (!explained.run) {
    if (explained.quality) members.emplace_back("quality", quality_value(*explained.quality));
    members.emplace_back("planning_seconds", rounded(explained.planning_s));
  } else {
    for (const std::string& remark : analysis_remarks(*explained.run)) {
      remarks.push_back(text_value(remark));
    }
    members.emplace_back("run", run_value(*explained.run));
  }
  members.emplace_back("remarks", Value::array(std::move(remarks)));
  return Value::object(std::move(members));
}

}  // namespace sluice::cli
