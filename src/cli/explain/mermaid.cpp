// explain for Mermaid, as Markdown pages show it.
#include <fmt/format.h>

#include <algorithm>

#include "cli/explain/explanation.h"

namespace sluice::cli {
namespace {

// Ids such as `end` mean something to Mermaid.
std::string name_of(std::string id) {
  std::ranges::replace(id, '/', '_');
  return "s_" + id;
}

// Inside "..." of a label: Mermaid has entities of its own, and HTML's.
std::string label_text(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '"':
        out += "#quot;";
        break;
      case '<':
        out += "#lt;";
        break;
      case '>':
        out += "#gt;";
        break;
      case '#':
        out += "#35;";
        break;
      case '&':
        out += "#amp;";
        break;
      case '\n':
      case '\r':
      case '\t':
        out += ' ';
        break;
      default:
        out.push_back(c);
    }
  }
  return out;
}

std::string node_line(const GraphNode& node) {
  std::string label = fmt::format("\"{}<br/>{}", label_text(node.id), label_text(node.operation));
  if (!node.note.empty()) label += "<br/>" + label_text(node.note);
  label += '"';
  return fmt::format("  {}{}\n", name_of(node.id),
                     node.mapped ? "[[" + label + "]]" : "[" + label + "]");
}

}  // namespace

std::string graph_mermaid(const PlanGraph& graph) {
  std::string text = "flowchart LR\n";
  std::string critical;
  for (const GraphNode& node : graph.nodes) {
    text += node_line(node);
    if (node.critical) critical += (critical.empty() ? "" : ",") + name_of(node.id);
  }
  for (const GraphEdge& edge : graph.edges) {
    const char* arrow = edge.kind == "flow" ? "==>" : edge.kind == "wait" ? "-->" : "-.->";
    text += fmt::format("  {} {}|{}| {}\n", name_of(edge.from), arrow, edge.kind, name_of(edge.to));
  }
  if (!critical.empty()) {
    text += "  classDef critical stroke:#c0392b,stroke-width:3px\n";
    text += "  class " + critical + " critical\n";
  }
  return text;
}

std::string explain_mermaid(const Explanation& explained) { return graph_mermaid(explained.graph); }

}  // namespace sluice::cli
