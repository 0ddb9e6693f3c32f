// A plan's graph as explain shows it: folded once from the physical plan; its printers stand in
// explain/, one file a format. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/value.h"
#include "plan/physical.h"

namespace sluice::cli {

struct GraphNode {
  std::string id;           // "sub/ask" for a step of a sub-plan
  std::string operation;    // "tool docs.read", "llm default", "value"
  std::string effect;       // "" for a value
  std::string resource;     // "tool:docs.read", "" for none
  std::uint32_t limit = 0;  // tasks of the resource at once; 0: none
  bool mapped = false;
  bool streams = false;
  std::uint32_t rank = 0;              // longest path to the end
  std::vector<std::string> modifiers;  // "when", "retry 3 times", "on_error: skip"
  std::string note;       // what is expected of it, or what it did, in a few words; "" not known
  bool critical = false;  // on the critical path, where that is known
};

struct GraphEdge {
  std::string from;
  std::string to;
  std::string kind;  // "flow", "wait", "status", "order", "fallback", "plan"
};

struct PlanGraph {
  std::vector<GraphNode> nodes;  // a topological order, steps of sub-plans after their caller
  std::vector<GraphEdge> edges;
  std::vector<std::string> result;        // what the result reads
  std::vector<std::string> longest_path;  // what decides how long a run takes at least
};

PlanGraph graph_of(const PhysicalPlan& plan);
std::string graph_text(const PlanGraph& graph, const std::string& title, const Plan& plan);
std::string graph_dot(const PlanGraph& graph);
std::string graph_mermaid(const PlanGraph& graph);
Value graph_json(const PlanGraph& graph);

}  // namespace sluice::cli
