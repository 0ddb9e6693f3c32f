#include "data/schema/compiler.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/ids.h"
#include "data/schema/grammar.h"
#include "data/schema/keyword_table.h"
#include "data/schema/uri.h"

namespace sluice::json_schema {
namespace {

// How many schemas may apply to one and the same value, one inside the other.
constexpr int kMaxInPlaceDepth = 256;

}  // namespace

Compiler::Compiler(const SchemaOptions& options)
    : options_(options),
      locations_(options, [this](std::string pointer, ErrorCode code, std::string message) {
        report(std::move(pointer), code, std::move(message));
      }) {
  callbacks_.report = [this](std::string pointer, ErrorCode code, std::string message) {
    report(std::move(pointer), code, std::move(message));
  };
  callbacks_.node_for = [this](const Value* schema) { return node_for(schema); };
  callbacks_.refer = [this](const Value* from, const std::string& reference) {
    return refer(from, reference);
  };
}

void Compiler::report(std::string pointer, ErrorCode code, std::string message) {
  for (const auto& known : problems_) {
    if (known.pointer == pointer && known.message == message) return;
  }
  problems_.push_back({std::move(pointer), code, std::move(message)});
}

void Compiler::compile(const Value& schema) {
  node_for(locations_.add_document(schema, ""));
  for (NodeIndex next = 0; next < graph_.nodes.size(); ++next) build(next);
  refuse_loops();
  mark_shared();
}

NodeIndex Compiler::node_for(const Value* schema) {
  auto [entry, added] = nodes_.try_emplace(schema, static_cast<NodeIndex>(graph_.nodes.size()));
  if (added) {
    const Place* place = locations_.place(schema);
    graph_.nodes.emplace_back();
    // Without a place it lies too deep, which has been reported.
    if (place != nullptr) graph_.nodes.back().pointer = place->pointer;
    schemas_.push_back(schema);
  }
  return entry->second;
}

std::optional<NodeIndex> Compiler::refer(const Value* from, const std::string& reference) {
  const Value* target = locations_.resolve(from, reference);
  if (target == nullptr) return std::nullopt;
  targets_.emplace(from, target);
  return node_for(target);
}

void Compiler::build(NodeIndex index) {
  const Value& schema = *schemas_[index];
  if (locations_.place(&schema) == nullptr) return;
  // Built aside: building others may move the nodes.
  Node node;
  node.pointer = graph_.nodes[index].pointer;
  if (schema.is_bool()) {
    node.never = !schema.as_bool();
  } else if (!schema.is_object()) {
    report(node.pointer, ErrorCode::kSchemaInvalid,
           fmt::format("a schema is an object, true or false, not {}",
                       kind_with_article(schema.kind())));
  } else {
    check_names(schema, node.pointer);
    Builder builder(schema, node, callbacks_);
    build_annotations(builder);
    build_any_keywords(builder);
    build_number_keywords(builder);
    build_string_keywords(builder);
    build_array_keywords(builder);
    build_object_keywords(builder);
    build_logic_keywords(builder);
  }
  graph_.nodes[index] = std::move(node);
}

void Compiler::check_names(const Value& schema, const std::string& pointer) {
  for (const auto& member : schema.members()) {
    const std::string& name = member.first;
    if (find_keyword(name) != nullptr) continue;
    std::string close = closest_name(name, schema_keywords());
    report(pointer + "/" + escape_pointer_token(name), ErrorCode::kSchemaUnsupported,
           close.empty()
               ? fmt::format("the keyword {} is not supported", name)
               : fmt::format("the keyword {} is not supported; did you mean {}?", name, close));
  }
}

void Compiler::mark_shared() {
  std::vector<int> ways(graph_.nodes.size(), 0);
  ways[0] = 1;
  for (const auto& node : graph_.nodes) {
    for (const auto& keyword : node.keywords) {
      for (NodeIndex to : keyword->in_place()) ++ways[to];
      for (NodeIndex to : keyword->inside()) ++ways[to];
    }
  }
  for (std::size_t i = 0; i < ways.size(); ++i) graph_.nodes[i].shared = ways[i] > 1;
}

// Depth first over "applies to the same value", without recursion: a schema that comes back to
// itself there would never end.
void Compiler::refuse_loops() {
  enum class State { kNew, kOpen, kDone };
  struct Frame {
    NodeIndex node;
    std::vector<NodeIndex> edges;
    std::size_t next = 0;
  };
  std::vector<State> states(graph_.nodes.size(), State::kNew);
  std::vector<int> heights(graph_.nodes.size(), 1);
  std::vector<Frame> open;
  auto enter = [&](NodeIndex node) {
    std::vector<NodeIndex> edges;
    for (const auto& keyword : graph_.nodes[node].keywords) {
      std::ranges::copy(keyword->in_place(), std::back_inserter(edges));
    }
    states[node] = State::kOpen;
    open.push_back({node, std::move(edges)});
  };
  auto refuse = [&](NodeIndex node, std::string message) {
    report(graph_.nodes[node].pointer, ErrorCode::kSchemaInvalid, std::move(message));
    graph_.nodes[node].keywords.clear();  // for kLenient: says nothing rather than hang
  };
  for (NodeIndex start = 0; start < graph_.nodes.size(); ++start) {
    if (states[start] == State::kNew) enter(start);
    while (!open.empty()) {
      Frame& frame = open.back();
      NodeIndex node = frame.node;
      if (frame.next < frame.edges.size()) {
        NodeIndex to = frame.edges[frame.next++];
        if (states[to] == State::kNew) {
          enter(to);
        } else if (states[to] == State::kOpen) {
          refuse(to, "the schema refers to itself without going into a property or an item");
        } else {
          heights[node] = std::max(heights[node], heights[to] + 1);
        }
        continue;
      }
      states[node] = State::kDone;
      open.pop_back();
      if (heights[node] > kMaxInPlaceDepth) {
        refuse(node,
               fmt::format("more than {} schemas refer to each other in a row", kMaxInPlaceDepth));
        heights[node] = 1;
      }
      if (!open.empty()) {
        int& above = heights[open.back().node];
        above = std::max(above, heights[node] + 1);
      }
    }
  }
}

std::vector<std::string> Compiler::not_in_grammar() const {
  std::vector<std::string> pointers;
  for (const Value* schema : schemas_) {
    const Place* place = locations_.place(schema);
    if (place == nullptr) continue;
    bool root_base = !locations_.has_nested_id();
    collect_not_in_grammar(*schema, place->pointer, root_base, pointers);
  }
  std::ranges::sort(pointers);
  pointers.erase(std::unique(pointers.begin(), pointers.end()), pointers.end());
  return pointers;
}

}  // namespace sluice::json_schema
