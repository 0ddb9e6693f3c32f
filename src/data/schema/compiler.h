// Compiles a schema into a Graph: finds the schemas, builds one node for each that can be reached,
// refuses references that never end. One thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "data/schema.h"
#include "data/schema/builder.h"
#include "data/schema/locations.h"
#include "data/schema/node.h"

namespace sluice::json_schema {

class Compiler {
 public:
  explicit Compiler(const SchemaOptions& options);

  void compile(const Value& schema);

  bool strict() const { return options_.mode == SchemaMode::kStrict; }
  std::vector<SchemaProblem> take_problems() { return std::move(problems_); }
  Graph take_graph() { return std::move(graph_); }
  std::vector<std::string> not_in_grammar() const;
  // The root with every schema from outside written under its "$defs".
  Value self_contained() const;

 private:
  NodeIndex node_for(const Value* schema);
  std::optional<NodeIndex> refer(const Value* from, const std::string& reference);
  void build(NodeIndex index);
  void check_names(const Value& schema, const std::string& pointer);
  void mark_shared();
  void refuse_loops();
  void report(std::string pointer, ErrorCode code, std::string message);

  const SchemaOptions& options_;
  std::vector<SchemaProblem> problems_;
  Locations locations_;
  Builder::Callbacks callbacks_;
  Graph graph_;
  std::vector<const Value*> schemas_;  // of each node
  std::unordered_map<const Value*, NodeIndex> nodes_;
  std::unordered_map<const Value*, const Value*> targets_;  // by the schema that has the $ref
};

}  // namespace sluice::json_schema
