// An expression as text again: normalized, and compiling it gives the same behaviour.
#pragma once

#include <string>

#include "data/expr/program.h"

namespace sluice::expr {

std::string print(const ExprProgram& program);

}  // namespace sluice::expr
