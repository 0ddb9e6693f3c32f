#include "cli/plan_graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "plan/duration.h"

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

std::string joined(const std::vector<std::string>& list, std::string_view between) {
  std::string text;
  for (const std::string& item : list) text += (text.empty() ? "" : std::string(between)) + item;
  return text;
}

std::string inputs_text(const PlanGraph& graph, const GraphNode& node) {
  std::vector<std::string> flows, waits, orders, others;
  for (const GraphEdge& edge : graph.edges) {
    if (edge.to != node.id) continue;
    if (edge.kind == "flow") flows.push_back(edge.from);
    if (edge.kind == "wait") waits.push_back(edge.from);
    if (edge.kind == "order") orders.push_back(edge.from);
    if (edge.kind == "status") others.push_back("reads status of " + edge.from);
    if (edge.kind == "fallback") others.push_back("runs when " + edge.from + " fails");
  }
  std::vector<std::string> parts;
  if (!flows.empty()) parts.push_back("flows from " + joined(flows, ", "));
  if (!waits.empty()) parts.push_back("waits for " + joined(waits, ", "));
  if (!orders.empty()) parts.push_back("after " + joined(orders, ", "));
  parts.insert(parts.end(), others.begin(), others.end());
  return joined(parts, "; ");
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  return out + "\"";
}

std::string header_text(const std::string& title, const Plan& plan) {
  std::string text =
      fmt::format("{}: {} step{}\n", title, plan.steps.size(), plan.steps.size() == 1 ? "" : "s");
  for (const ParamSpec& param : plan.params) {
    text += fmt::format("  param {}: {}{}\n", param.id,
                        param.schema ? param.schema->type().to_string() : "any",
                        param.has_default ? "" : " (required)");
  }
  for (const NamedSettings& tool : plan.tools)
    text += fmt::format("  tool {}: {}\n", tool.id, tool.kind);
  for (const NamedSettings& model : plan.models)
    text += fmt::format("  model {}: {}\n", model.id, model.kind);
  return text + "\n";
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

std::string graph_text(const PlanGraph& graph, const std::string& title, const Plan& plan) {
  std::size_t id_width = 4, operation_width = 4;
  for (const GraphNode& node : graph.nodes) {
    id_width = std::max(id_width, node.id.size());
    operation_width = std::max(operation_width, node.operation.size() + (node.mapped ? 2 : 0));
  }
  std::string text = header_text(title, plan);
  for (const GraphNode& node : graph.nodes) {
    std::vector<std::string> parts;
    if (std::string inputs = inputs_text(graph, node); !inputs.empty())
      parts.push_back(std::move(inputs));
    parts.insert(parts.end(), node.modifiers.begin(), node.modifiers.end());
    if (node.streams) parts.emplace_back("emits items as they come");
    if (node.limit > 0) parts.push_back(fmt::format("at most {} at once", node.limit));
    std::string line = fmt::format("  {:<{}}  {:<{}}  {:<10}  {}", node.id, id_width,
                                   node.operation + (node.mapped ? " *" : ""), operation_width,
                                   node.effect, joined(parts, "; "));
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  if (!graph.result.empty())
    text += fmt::format("  {:<{}}  reads {}\n", "result", id_width, joined(graph.result, ", "));
  if (std::ranges::any_of(graph.nodes, &GraphNode::mapped))
    text += "\n* a task per item (for_each)";
  text += fmt::format("\nlongest path: {}\n", joined(graph.longest_path, " -> "));
  return text;
}

std::string graph_dot(const PlanGraph& graph) {
  std::string text =
      "digraph plan {\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];\n";
  for (const GraphNode& node : graph.nodes) {
    text +=
        fmt::format("  {} [label={}{}];\n", quoted(node.id),
                    quoted(node.id + "\n" + node.operation), node.mapped ? ", peripheries=2" : "");
  }
  for (const GraphEdge& edge : graph.edges) {
    const char* style = edge.kind == "flow"   ? "style=bold"
                        : edge.kind == "wait" ? "style=solid"
                                              : "style=dashed";
    text += fmt::format("  {} -> {} [{}, label={}];\n", quoted(edge.from), quoted(edge.to), style,
                        quoted(edge.kind));
  }
  return text + "}\n";
}

std::string graph_mermaid(const PlanGraph& graph) {
  auto name = [](std::string id) {
    std::ranges::replace(id, '/', '_');
    return "s_" + id;  // ids such as `end` mean something to Mermaid
  };
  std::string text = "flowchart LR\n";
  for (const GraphNode& node : graph.nodes) {
    const std::string label = fmt::format("\"{}<br/>{}\"", node.id, node.operation);
    text += fmt::format("  {}{}\n", name(node.id),
                        node.mapped ? "[[" + label + "]]" : "[" + label + "]");
  }
  for (const GraphEdge& edge : graph.edges) {
    const char* arrow = edge.kind == "flow" ? "==>" : edge.kind == "wait" ? "-->" : "-.->";
    text += fmt::format("  {} {}|{}| {}\n", name(edge.from), arrow, edge.kind, name(edge.to));
  }
  return text;
}

Value graph_json(const PlanGraph& graph) {
  auto texts = [](const std::vector<std::string>& list) {
    std::vector<Value> items;
    for (const std::string& item : list) items.push_back(Value::string(item));
    return Value::array(std::move(items));
  };
  std::vector<Value> nodes, edges;
  for (const GraphNode& node : graph.nodes) {
    nodes.push_back(Value::object({{"id", Value::string(node.id)},
                                   {"operation", Value::string(node.operation)},
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

}  // namespace sluice::cli
