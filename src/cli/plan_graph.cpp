#include "cli/plan_graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "plan/duration.h"
#include "plan/table_query.h"

namespace sluice::cli {
namespace {

// "wait signal decision, for 24h"
std::string wait_text(const Binding& wait) {
  std::string text = "wait";
  std::string_view before = " ";
  for (std::string_view key : {"signal", "for", "until"}) {
    const Binding* part = wait.find(key);
    if (part == nullptr) continue;
    const std::optional<Value> constant = part->as_constant();
    const bool known = constant && constant->is_string();
    text += fmt::format("{}{} {}", before, key,
                        known ? std::string(constant->as_string()) : part->expr.to_string());
    before = ", ";
  }
  return text;
}

// "table from steps.rows.output, where row.size > 10"; the columns beside it need room too.
std::string table_step_text(const PhysicalStep& step) {
  constexpr std::size_t kMost = 60;
  if (step.logical.table == nullptr) return "table";
  std::string words = table_words(*step.logical.table, step.body.binding);
  std::ranges::replace(words, '\n', ' ');
  if (words.size() > kMost) {
    words.resize(utf8_valid_prefix(std::string_view(words).substr(0, kMost - 3)));
    words += "...";
  }
  return "table " + words;
}

std::string operation_text(const PhysicalStep& step) {
  const Step& logical = step.logical;
  switch (logical.op) {
    case OperatorKind::kLlm:
      return "llm " + logical.target;
    case OperatorKind::kTool:
      return "tool " + logical.target + (logical.function.empty() ? "" : "." + logical.function);
    case OperatorKind::kCode:
      return "code";
    case OperatorKind::kPlan:
      return step.produced_plan ? "plan (produced)" : "plan " + logical.target;
    case OperatorKind::kValue:
      return "value";
    case OperatorKind::kWait:
      return wait_text(step.body.binding);
    case OperatorKind::kTable:
      return table_step_text(step);
  }
  return "";
}

std::string on_error_text(const OnErrorRule& rule) {
  switch (rule.kind) {
    case OnErrorRule::Kind::kFail:
      return "on_error: fail";
    case OnErrorRule::Kind::kSkip:
      return "on_error: skip";
    case OnErrorRule::Kind::kValue:
      return "on_error: a value";
    case OnErrorRule::Kind::kStep:
      return "on_error: step " + rule.step;
  }
  return "";
}

std::vector<std::string> modifiers_of(const Step& step) {
  std::vector<std::string> list;
  if (step.when) list.emplace_back("when");
  if (step.repeat) list.push_back(fmt::format("repeat at most {} times", step.repeat->max_rounds));
  if (step.retry && step.retry->attempts > 1)
    list.push_back(fmt::format("{} attempts", step.retry->attempts));
  if (step.timeout_ms) list.push_back("timeout " + format_duration_ms(*step.timeout_ms));
  if (step.on_error) list.push_back(on_error_text(*step.on_error));
  if (step.cache_ttl_ms) list.emplace_back("cache");
  if (!step.budget.none()) list.emplace_back("budget");
  if (step.concurrency) list.push_back(fmt::format("concurrency {}", *step.concurrency));
  return list;
}

// What optimizer passes have made of the step.
void add_passes_work(const PhysicalStep& step, std::vector<std::string>& list) {
  for (std::size_t i = 1; i < step.logical_ids.size(); ++i) {
    list.push_back("also stands for " + step.logical_ids[i]);
  }
  if (step.advice.share_equal) list.emplace_back("equal calls once");
  if (step.advice.prefix_returns) list.emplace_back("its prompt is kept");
  if (!step.advice.order.empty()) list.push_back("order " + step.advice.order);
  if (step.advice.most_at_once > 0) {
    list.push_back(fmt::format("at most {} at once", step.advice.most_at_once));
  }
}

std::string edge_kind(const PhysicalStep& step, std::uint32_t index) {
  const Edge& edge = step.edges[index];
  if (index == step.items_edge || edge.mode == EdgeMode::kSlot) return "flow";
  if (edge.mode == EdgeMode::kStatus) return "status";
  return edge.mode == EdgeMode::kOrder ? "order" : "wait";
}

void add_plan(const PhysicalPlan& plan, const std::string& prefix, PlanGraph& graph) {
  auto id_of = [&](std::uint32_t step) { return prefix + plan.steps[step].logical.id; };
  for (std::uint32_t at = 0; at < plan.steps.size(); ++at) {
    const PhysicalStep& step = plan.steps[at];
    GraphNode node;
    node.id = id_of(at);
    node.operation = operation_text(step);
    const OperatorKind op = step.logical.op;
    const bool calls = op != OperatorKind::kValue && op != OperatorKind::kWait;
    if (calls) node.effect = effect_name(step.effect);
    node.resource = step.resource;
    node.limit = step.resource_limit;
    node.mapped = step.mapped;
    node.streams = step.streams;
    node.rank = step.rank;
    node.modifiers = modifiers_of(step.logical);
    add_passes_work(step, node.modifiers);
    graph.nodes.push_back(std::move(node));
    std::set<std::pair<std::string, std::string>> seen;
    for (std::uint32_t edge = 0; edge < step.edges.size(); ++edge) {
      GraphEdge added{id_of(step.edges[edge].from), id_of(at), edge_kind(step, edge)};
      if (seen.emplace(added.from, added.kind).second) graph.edges.push_back(std::move(added));
    }
    if (step.fallback_of != kNoIndex) {
      graph.edges.push_back({id_of(step.fallback_of), id_of(at), "fallback"});
    }
    if (step.plan == nullptr) continue;
    add_plan(*step.plan, id_of(at) + "/", graph);
    for (const PhysicalStep& inner : step.plan->steps) {
      if (inner.edges.empty())
        graph.edges.push_back({id_of(at), id_of(at) + "/" + inner.logical.id, "plan"});
    }
  }
}

// From the step of the highest rank along consumers whose rank is one less.
std::vector<std::string> longest_path(const PhysicalPlan& plan) {
  std::vector<std::string> path;
  std::uint32_t at = kNoIndex;
  for (std::uint32_t step = 0; step < plan.steps.size(); ++step) {
    if (at == kNoIndex || plan.steps[step].rank > plan.steps[at].rank) at = step;
  }
  while (at != kNoIndex && path.size() <= plan.steps.size()) {
    path.push_back(plan.steps[at].logical.id);
    std::uint32_t next = kNoIndex;
    for (std::uint32_t consumer : plan.steps[at].consumers) {
      const std::uint32_t rank = plan.steps[consumer].rank;
      if (rank < plan.steps[at].rank && (next == kNoIndex || rank > plan.steps[next].rank))
        next = consumer;
    }
    at = next;
  }
  return path;
}

}  // namespace

PlanGraph graph_of(const PhysicalPlan& plan) {
  PlanGraph graph;
  add_plan(plan, "", graph);
  for (const Edge& edge : plan.result_edges) {
    const std::string& id = plan.steps[edge.from].logical.id;
    if (std::ranges::find(graph.result, id) == graph.result.end()) graph.result.push_back(id);
  }
  graph.longest_path = longest_path(plan);
  return graph;
}

}  // namespace sluice::cli
