// explain for Graphviz.
#include <fmt/format.h>

#include "cli/explain/explanation.h"

namespace sluice::cli {
namespace {

std::string dot_quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  return out + "\"";
}

std::string node_line(const GraphNode& node) {
  std::string label = node.id + "\n" + node.operation;
  if (!node.note.empty()) label += "\n" + node.note;
  return fmt::format("  {} [label={}{}{}];\n", dot_quoted(node.id), dot_quoted(label),
                     node.mapped ? ", peripheries=2" : "",
                     node.critical ? ", color=\"#c0392b\", penwidth=2" : "");
}

}  // namespace

std::string graph_dot(const PlanGraph& graph) {
  std::string text =
      "digraph plan {\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];\n";
  for (const GraphNode& node : graph.nodes) text += node_line(node);
  for (const GraphEdge& edge : graph.edges) {
    const char* style = edge.kind == "flow"   ? "style=bold"
                        : edge.kind == "wait" ? "style=solid"
                                              : "style=dashed";
    text += fmt::format("  {} -> {} [{}, label={}];\n", dot_quoted(edge.from), dot_quoted(edge.to),
                        style, dot_quoted(edge.kind));
  }
  return text + "}\n";
}

std::string explain_dot(const Explanation& explained) { return graph_dot(explained.graph); }

}  // namespace sluice::cli
