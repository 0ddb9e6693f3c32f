// The compiled form of a schema: a flat graph of nodes, each with its keywords. A node is one
// schema object; keywords name other nodes by index, so that recursion through `$ref` is only a
// number. Immutable once compiled; any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/type.h"
#include "data/value.h"

namespace sluice::json_schema {

using NodeIndex = std::uint32_t;

class Evaluation;
class TypeBuilder;

// One keyword, or a few that only make sense together, of one schema object.
class Keyword {
 public:
  explicit Keyword(std::string pointer) : pointer_(std::move(pointer)) {}
  virtual ~Keyword() = default;
  Keyword(const Keyword&) = delete;
  Keyword& operator=(const Keyword&) = delete;

  // Whether the value satisfies it; says why not through `evaluation`.
  virtual bool check(const Value& value, Evaluation& evaluation) const = 0;
  // The nodes it applies to the same value, and those it applies to parts of the value.
  virtual std::vector<NodeIndex> in_place() const { return {}; }
  virtual std::vector<NodeIndex> inside() const { return {}; }
  // What every value that satisfies it certainly is.
  virtual Type type(TypeBuilder&) const { return Type::any(); }

  const std::string& pointer() const { return pointer_; }

 private:
  std::string pointer_;  // JSON Pointer to the keyword
};

struct Node {
  std::string pointer;
  bool never = false;   // the schema `false`
  bool shared = false;  // reached in more than one way: its results are worth remembering
  std::vector<std::unique_ptr<Keyword>> keywords;
};

struct Graph {
  std::vector<Node> nodes;  // 0 is the root
};

// Types from nodes, with a bound on depth and on work: what lies beyond is any.
class TypeBuilder {
 public:
  explicit TypeBuilder(const Graph& graph) : graph_(graph) {}
  Type of_node(NodeIndex node);    // for the same value
  Type of_inside(NodeIndex node);  // for a part of it

 private:
  const Graph& graph_;
  int depth_left_ = 8;
  int visits_left_ = 5000;
};

// Everything but `kinds`, beside `of_these`: what a keyword that only speaks of some kinds means.
Type only_for(std::uint16_t kinds, const Type& of_these);

}  // namespace sluice::json_schema
