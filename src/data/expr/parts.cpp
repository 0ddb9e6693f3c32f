#include "data/expr/parts.h"

#include <utility>

namespace sluice::expr {

const ExprProgram& program_of(const Expr& whole) { return ExprProgram::of(whole); }

Expr part_of(const Expr& whole, NodeId root) {
  auto part = std::make_shared<ExprProgram>(program_of(whole));
  part->root = root;
  part->is_template = false;
  part->literal = false;
  part->constant.reset();
  part->type = Type::any();
  part->type_errors.clear();
  return ExprProgram::wrap(std::move(part));
}

void for_each_node(const ExprProgram& program, NodeId root,
                   const std::function<void(NodeId id)>& visit) {
  std::vector<NodeId> open = {root};
  std::vector<NodeId> children;
  while (!open.empty()) {
    NodeId id = open.back();
    open.pop_back();
    visit(id);
    children.clear();
    for_each_child(program, program.nodes[id], [&](NodeId child) { children.push_back(child); });
    for (std::size_t i = children.size(); i-- > 0;) {
      if (children[i] != kNone) open.push_back(children[i]);
    }
  }
}

std::vector<bool> inputs_read(const ExprProgram& program, NodeId root) {
  std::vector<bool> read(program.inputs.size());
  for_each_node(program, root, [&](NodeId id) {
    const Node& node = program.nodes[id];
    if (node.op == Op::kInput) read[node.a] = true;
  });
  return read;
}

std::vector<NodeId> and_operands(const ExprProgram& program, NodeId root) {
  std::vector<NodeId> found;
  std::vector<NodeId> open = {root};
  while (!open.empty()) {
    NodeId id = open.back();
    open.pop_back();
    const Node& node = program.nodes[id];
    if (node.op != Op::kAnd) {
      found.push_back(id);
      continue;
    }
    auto kids = program.kids_of(node);
    for (std::size_t i = kids.size(); i-- > 0;) open.push_back(kids[i]);
  }
  return found;
}

}  // namespace sluice::expr
