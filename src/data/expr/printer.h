// An expression as text again: normalized, and compiling it gives the same behaviour.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/expr/program.h"

namespace sluice::expr {

// What is printed in the place of an input.
struct Substitute {
  std::string text;                // an expression, without {{ }}
  bool postfix = false;            // `.name` and `[0]` may follow it as it stands
  std::vector<std::string> names;  // that it reads: no loop around it may bind one of them
};

std::string print(const ExprProgram& program);
// With substitutes where they are set, by the number of the input. nullopt: a loop binds a name of
// one of them.
std::optional<std::string> print_with(const ExprProgram& program,
                                      std::span<const std::optional<Substitute>> substitutes);
// The operands of the outermost `and`, each without {{ }}.
std::vector<std::string> print_conjuncts(const ExprProgram& program);

}  // namespace sluice::expr
