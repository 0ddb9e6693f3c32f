// Parts of a compiled expression, for whoever takes one apart or says it in another language. A
// program lives as long as an Expr that holds it. Pure; any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "data/expr/program.h"

namespace sluice::expr {

// Calls visit(id) for what stands right below a node, in written order. kNone may be among it: it
// stands for what was omitted.
template <class Visit>
void for_each_child(const ExprProgram& program, const Node& node, Visit visit) {
  auto all = [&](std::uint32_t first, std::uint32_t count, std::uint32_t by = 1) {
    for (std::uint32_t i = 0; i < count; i += by) visit(program.kids[first + i]);
  };
  switch (node.op) {
    case Op::kConst:
    case Op::kInput:
    case Op::kLocal:
    case Op::kLoop:
    case Op::kText:
      break;
    case Op::kList:
    case Op::kDict:
    case Op::kConcat:
    case Op::kAnd:
    case Op::kOr:
    case Op::kSequence:
      all(node.a, node.b);
      break;
    case Op::kIf:
      all(node.a, node.b);
      visit(node.c);
      break;
    case Op::kChain:  // comparisons stand between its operands
      all(node.a, node.b, 2);
      break;
    case Op::kSlice:
      visit(node.a);
      all(node.b, 3);
      break;
    case Op::kIndex:
    case Op::kArithmetic:
    case Op::kCompare:
      visit(node.a);
      visit(node.b);
      break;
    case Op::kMember:
    case Op::kNot:
    case Op::kNegate:
    case Op::kPlus:
    case Op::kOutput:
      visit(node.a);
      break;
    case Op::kConditional:
      visit(node.a);
      visit(node.b);
      visit(node.c);
      break;
    case Op::kTest:
    case Op::kFilter:
      visit(node.a);
      for (std::uint32_t call = node.b; call != kNoCall; call = program.calls[call].inner) {
        for (NodeId arg : program.calls[call].args) visit(arg);
      }
      break;
    case Op::kFor: {
      const Loop& loop = program.loops[node.a];
      visit(loop.iterable);
      visit(loop.body);
      visit(loop.otherwise);
      break;
    }
  }
}

const ExprProgram& program_of(const Expr& whole);
// A node as an expression of its own. It reads the inputs of the whole, by the same numbers: those
// that it does not need may be anything.
Expr part_of(const Expr& whole, NodeId root);
// The node and all below it, parents first.
void for_each_node(const ExprProgram& program, NodeId root,
                   const std::function<void(NodeId id)>& visit);
// By number of an input: whether the node, or something below it, reads it.
std::vector<bool> inputs_read(const ExprProgram& program, NodeId root);
// The operands of the outermost `and`s of a node, in order; the node itself when it is none.
std::vector<NodeId> and_operands(const ExprProgram& program, NodeId root);

}  // namespace sluice::expr
