// Rewriting of what a plan says, for optimizer passes: expressions with other names or values in
// place of what they read, and a logical plan that is changed step by step. What is rewritten is
// compiled anew from text, so that it can be verified, printed and recorded like a plan as it was
// written; positions stay those of the user's text. Pure; one thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "plan/logical.h"
#include "plan/scope.h"

namespace sluice {

// A value as the text of an expression that gives it again ("none", "[1, 2]"). nullopt: a blob, a
// vector, a labelled value, or one larger than `most_bytes` of text.
std::optional<std::string> literal_text(const Value& value, std::size_t most_bytes = 4096);

// What stands in place of an input: an expression's text, or nullopt where it stays.
using InputReplacement = std::function<std::optional<std::string>(const ExprInput& input)>;

// The binding with every leaf rewritten. kExprSyntax (and what compiling finds) when a leaf does
// not compile afterwards; kExprName when a loop of the expression would capture a name of the
// replacement.
Result<Binding> rewrite_binding(const Binding& binding, const InputReplacement& replace);

// A binding of one expression that a pass has put together. `text` without {{ }}.
Result<Binding> expression_binding(std::string_view text, SourcePos pos);

// `for_each_binding` for change: visits every binding that the step has, in the same order. Stops
// at the first error.
Result<void> rewrite_step(Step& step, const InputReplacement& replace);

// Whether two bindings are written alike: the same tree with the same expressions.
bool same_binding(const Binding& left, const Binding& right);

// Whether two steps take an input alike where it is missing; what a step does there, stated or not.
bool same_join(const JoinRule& left, const JoinRule& right);
const JoinRule& join_of(const Step& step, std::string_view input);

// How what a step calls is tried, kept and given up, whatever it is: retry, timeout, cache,
// concurrency, and what kind of end on_error makes of a failure. As a text: "" without any rule.
std::string rules_text(const Step& step);
bool same_rules(const Step& left, const Step& right);

}  // namespace sluice
