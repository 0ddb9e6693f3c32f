// How an expression uses what it reads: at how many places, and whether it surely evaluates it.
// Passes that put an expression in the place of an input ask. Pure; any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "plan/binding.h"

namespace sluice {

struct InputUse {
  std::size_t times = 0;  // places; one inside of a loop counts twice
  // Evaluating the expression evaluates the input, and fails where that fails: it stands in no
  // branch, behind no `and` or `or`, in no loop and under no test.
  bool always = false;
};

// By the number of the input. A reader of a constant uses nothing.
std::vector<InputUse> input_uses(const Expr& expr);

// The expression, or a list or a map of them, as the text of one expression that gives the same.
// nullopt: it has a template in it, a part that is broken, or a constant that cannot be written.
std::optional<std::string> expression_text(const Binding& binding);

// Nothing but inputs and members of them (`item.text`, `steps.a.output.rows[0]`): to evaluate it
// costs nothing.
bool is_path(const Binding& binding);

// Inputs as they are, constants, and lists and maps of these: evaluating it cannot fail.
bool cannot_fail(const Binding& binding);

}  // namespace sluice
