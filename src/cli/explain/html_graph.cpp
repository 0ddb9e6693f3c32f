// The graph of steps as a drawing: columns by the longest path to a step, boxes below each other,
// curves between them. Wide plans scroll.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "cli/explain/html_parts.h"
#include "cli/table.h"

namespace sluice::cli {
namespace {

constexpr int kBoxWidth = 196;
constexpr int kBoxHeight = 62;
constexpr int kGapX = 64;
constexpr int kGapY = 20;
constexpr int kMargin = 12;
constexpr std::size_t kFits = 27;  // characters of a small line
constexpr std::size_t kFitsBold = 23;

struct Box {
  int column = 0;
  int row = 0;
  int x() const { return kMargin + column * (kBoxWidth + kGapX); }
  int y() const { return kMargin + row * (kBoxHeight + kGapY); }
};

class Layout {
 public:
  explicit Layout(const PlanGraph& graph) : graph_(graph), boxes_(graph.nodes.size()) {
    for (std::size_t at = 0; at < graph.nodes.size(); ++at) index_[graph.nodes[at].id] = at;
    place_columns();
    place_rows();
  }

  const Box* box(const std::string& id) const {
    auto found = index_.find(id);
    return found == index_.end() ? nullptr : &boxes_[found->second];
  }
  const Box& box(std::size_t at) const { return boxes_[at]; }
  int width() const { return 2 * kMargin + columns_ * (kBoxWidth + kGapX) - kGapX; }
  int height() const { return 2 * kMargin + rows_ * (kBoxHeight + kGapY) - kGapY; }

 private:
  // Nodes stand in a topological order; an edge that goes back (a fallback's) places nothing.
  void place_columns() {
    std::multimap<std::size_t, std::size_t> before;  // by node: those that it comes after
    for (const GraphEdge& edge : graph_.edges) {
      auto from = index_.find(edge.from), to = index_.find(edge.to);
      if (from == index_.end() || to == index_.end()) continue;
      if (from->second < to->second) before.emplace(to->second, from->second);
    }
    for (std::size_t at = 0; at < boxes_.size(); ++at) {
      auto [first, last] = before.equal_range(at);
      int above = 0;
      int count = 0;
      for (auto one = first; one != last; ++one, ++count) {
        boxes_[at].column = std::max(boxes_[at].column, boxes_[one->second].column + 1);
        above += boxes_[one->second].row;
      }
      // For now the wish to be beside what it comes after.
      boxes_[at].row = count == 0 ? static_cast<int>(at) : above / count;
      columns_ = std::max(columns_, boxes_[at].column + 1);
    }
  }

  void place_rows() {
    std::map<int, std::vector<std::size_t>> columns;
    for (std::size_t at = 0; at < boxes_.size(); ++at) columns[boxes_[at].column].push_back(at);
    for (auto& [column, nodes] : columns) {
      std::ranges::sort(nodes, {},
                        [this](std::size_t at) { return std::pair(boxes_[at].row, at); });
      int row = 0;
      for (std::size_t at : nodes) boxes_[at].row = row++;
      rows_ = std::max(rows_, row);
    }
  }

  const PlanGraph& graph_;
  std::map<std::string, std::size_t, std::less<>> index_;
  std::vector<Box> boxes_;
  int columns_ = 0;
  int rows_ = 0;
};

std::string edge_path(const Box& from, const Box& to, const std::string& kind) {
  const int x1 = from.x() + kBoxWidth, y1 = from.y() + kBoxHeight / 2;
  const int x2 = to.x(), y2 = to.y() + kBoxHeight / 2;
  if (to.column > from.column) {
    const int bend = std::max(kGapX / 2, (x2 - x1) / 2);
    return fmt::format("<path class=\"edge {}\" d=\"M{} {}C{} {} {} {} {} {}\"/>", kind, x1, y1,
                       x1 + bend, y1, x2 - bend, y2, x2 - 2, y2);
  }
  const int low = std::max(from.y(), to.y()) + kBoxHeight + kGapY / 2;
  return fmt::format("<path class=\"edge {}\" d=\"M{} {}C{} {} {} {} {} {}\"/>", kind,
                     from.x() + kBoxWidth / 2, from.y() + kBoxHeight, from.x() + kBoxWidth / 2,
                     low + kGapY, to.x() + kBoxWidth / 2, low + kGapY, to.x() + kBoxWidth / 2,
                     to.y() + kBoxHeight);
}

std::string node_box(const GraphNode& node, const Box& box) {
  std::string out =
      fmt::format("<g class=\"node{}\"><title>{}\n{}\n{}", node.critical ? " critical" : "",
                  html_escaped(node.id), html_escaped(node.operation), html_escaped(node.note));
  for (const std::string& modifier : node.modifiers) out += "\n" + html_escaped(modifier);
  out += "</title>";
  if (node.mapped) {
    out +=
        fmt::format("<rect class=\"many\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"8\"/>",
                    box.x() + 4, box.y() + 4, kBoxWidth, kBoxHeight);
  }
  out += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"8\"/>", box.x(),
                     box.y(), kBoxWidth, kBoxHeight);
  out += fmt::format("<text class=\"id\" x=\"{}\" y=\"{}\">{}</text>", box.x() + 12, box.y() + 21,
                     html_escaped(fitted_text(node.id, kFitsBold)));
  out += fmt::format("<text x=\"{}\" y=\"{}\">{}</text>", box.x() + 12, box.y() + 37,
                     html_escaped(fitted_text(node.operation, kFits)));
  return out + fmt::format("<text class=\"note\" x=\"{}\" y=\"{}\">{}</text></g>\n", box.x() + 12,
                           box.y() + 53, html_escaped(fitted_text(node.note, kFits)));
}

}  // namespace

std::string graph_part(const PlanGraph& graph) {
  if (graph.nodes.empty()) return "";
  if (graph.nodes.size() > kMostDrawnNodes) {
    return fmt::format(
        "<h2>Graph</h2><p class=\"hint\">{} steps are too many to draw; the table "
        "has them all.</p>\n",
        graph.nodes.size());
  }
  const Layout layout(graph);
  std::string out = fmt::format(
      "<h2>Graph</h2><p class=\"hint\">Bold lines pass item by item, thin ones wait for all of a "
      "step; red is the critical path.</p>\n<div class=\"scroll graph\"><svg role=\"img\" "
      "aria-label=\"graph of steps\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\">"
      "<defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" "
      "markerHeight=\"7\" markerUnits=\"userSpaceOnUse\" orient=\"auto\">"
      "<path d=\"M0 0L8 4L0 8z\"/></marker></defs>\n",
      layout.width() + 8, layout.height() + 8 + kGapY);
  for (const GraphEdge& edge : graph.edges) {
    const Box* from = layout.box(edge.from);
    const Box* to = layout.box(edge.to);
    if (from != nullptr && to != nullptr) out += edge_path(*from, *to, edge.kind) + "\n";
  }
  for (std::size_t at = 0; at < graph.nodes.size(); ++at) {
    out += node_box(graph.nodes[at], layout.box(at));
  }
  return out + "</svg></div>\n";
}

}  // namespace sluice::cli
