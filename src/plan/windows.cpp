// Which slot edges have a window. A windowed edge makes the producer wait for its consumer; where
// that could close a circle with somebody who waits for a whole relation, the window is left out.
#include <algorithm>
#include <utility>
#include <vector>

#include "plan/step_lowering.h"

namespace sluice {
namespace {

struct Arc {
  std::uint32_t waits = 0;  // waits for
  std::uint32_t on = 0;
  bool barrier = false;    // for all of it
  Edge* window = nullptr;  // set: this wait is there because of that edge's window
};

// Strongly connected components of the waits (Tarjan's, without recursion).
class Circles {
 public:
  Circles(std::size_t nodes, const std::vector<Arc>& arcs)
      : next_(nodes), order_(nodes, 0), low_(nodes, 0), component_(nodes, kNoIndex) {
    for (const Arc& arc : arcs) next_[arc.waits].push_back(arc.on);
    for (std::uint32_t node = 0; node < nodes; ++node) {
      if (order_[node] == 0) visit(node);
    }
  }
  std::uint32_t of(std::uint32_t node) const { return component_[node]; }

 private:
  void open(std::uint32_t node) {
    order_[node] = low_[node] = ++clock_;
    open_.push_back(node);
    path_.emplace_back(node, 0);
  }

  void visit(std::uint32_t root) {
    open(root);
    while (!path_.empty()) {
      auto& [node, at] = path_.back();
      if (at < next_[node].size()) {
        std::uint32_t child = next_[node][at++];
        if (order_[child] == 0) {
          open(child);
        } else if (component_[child] == kNoIndex) {
          low_[node] = std::min(low_[node], order_[child]);
        }
        continue;
      }
      std::uint32_t done = node;
      path_.pop_back();
      if (!path_.empty()) {
        std::uint32_t parent = path_.back().first;
        low_[parent] = std::min(low_[parent], low_[done]);
      }
      if (low_[done] == order_[done]) close(done);
    }
  }

  void close(std::uint32_t root) {
    for (;;) {
      std::uint32_t node = open_.back();
      open_.pop_back();
      component_[node] = components_;
      if (node == root) break;
    }
    ++components_;
  }

  std::vector<std::vector<std::uint32_t>> next_;
  std::vector<std::uint32_t> order_;
  std::vector<std::uint32_t> low_;
  std::vector<std::uint32_t> component_;
  std::vector<std::uint32_t> open_;
  std::vector<std::pair<std::uint32_t, std::size_t>> path_;
  std::uint32_t clock_ = 0;
  std::uint32_t components_ = 0;
};

// Whether the reader behind `window` may wait, by some other way than for its slots, for a whole
// relation that the producer is part of: then the producer must not wait for the reader.
class OtherWay {
 public:
  OtherWay(std::size_t nodes, const std::vector<Arc>& arcs) : next_(nodes) {
    for (const Arc& arc : arcs) next_[arc.waits].push_back(&arc);
  }

  bool blocks(const Arc& window) const {
    std::vector<char> seen(next_.size() * 2, 0);
    std::vector<std::size_t> open = {std::size_t{window.on} * 2};  // node, barrier passed
    seen[open[0]] = 1;
    while (!open.empty()) {
      std::size_t state = open.back();
      open.pop_back();
      for (const Arc* arc : next_[state / 2]) {
        bool own_slot = arc->waits == window.on && arc->on == window.waits && !arc->barrier;
        if (own_slot || arc->on == window.on) continue;
        bool barrier = state % 2 != 0 || arc->barrier;
        if (arc->on == window.waits) {
          if (barrier) return true;
          continue;
        }
        std::size_t reached = std::size_t{arc->on} * 2 + (barrier ? 1 : 0);
        if (seen[reached] == 0) {
          seen[reached] = 1;
          open.push_back(reached);
        }
      }
    }
    return false;
  }

 private:
  std::vector<std::vector<const Arc*>> next_;
};

constexpr std::size_t kMaxPreciseWork = 50'000'000;  // beyond, windows are left out generously

std::vector<Arc> waits_of(std::vector<PhysicalStep>& steps) {
  std::vector<Arc> arcs;
  for (std::uint32_t i = 0; i < steps.size(); ++i) {
    // A fallback's waits delay the step that it stands in for.
    std::uint32_t waits = steps[i].fallback_of != kNoIndex ? steps[i].fallback_of : i;
    for (Edge& edge : steps[i].edges) {
      arcs.push_back({waits, edge.from, edge.mode != EdgeMode::kSlot, nullptr});
      if (edge.windowed) arcs.push_back({edge.from, waits, false, &edge});
    }
  }
  return arcs;
}

}  // namespace

void choose_windows(std::vector<PhysicalStep>& steps) {
  for (PhysicalStep& step : steps) {
    for (Edge& edge : step.edges) edge.windowed = edge.mode == EdgeMode::kSlot;
  }
  for (bool changed = true; changed;) {
    changed = false;
    std::vector<Arc> arcs = waits_of(steps);
    Circles circles(steps.size(), arcs);
    std::vector<char> stuck(steps.size() + 1, 0);
    for (const Arc& arc : arcs) {
      if (arc.barrier && circles.of(arc.waits) == circles.of(arc.on)) {
        stuck[circles.of(arc.waits)] = 1;
      }
    }
    std::vector<const Arc*> doubtful;
    for (const Arc& arc : arcs) {
      bool inside = circles.of(arc.waits) == circles.of(arc.on);
      if (arc.window && inside && stuck[circles.of(arc.waits)] != 0) doubtful.push_back(&arc);
    }
    bool precise = doubtful.size() * arcs.size() <= kMaxPreciseWork;
    OtherWay other_way(steps.size(), arcs);
    for (const Arc* arc : doubtful) {
      if (precise && !other_way.blocks(*arc)) continue;
      arc->window->windowed = false;
      changed = true;
    }
  }
}

}  // namespace sluice
