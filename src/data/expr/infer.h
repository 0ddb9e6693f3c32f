// The type of an expression, and what in it can never work. Only certain misuse is reported: a
// value of type `any` may be whatever is needed. Fills ExprProgram::type and type_errors.
#pragma once

#include "data/expr/program.h"

namespace sluice::expr {

void infer(ExprProgram& program);

}  // namespace sluice::expr
