// Expr: our typed expression IR behind Jinja's syntax (the subset that the plan language names).
// Strict undefined; limits on depth, steps and output; printable; analysable by passes. A compiled
// Expr is immutable and may be evaluated from any thread, each thread with its own EvalContext.
//
// Names are resolved at compile time: a NameResolver says which dotted paths are *inputs*. What an
// expression reads is therefore known (edges are inferred from it) and evaluation is handed an
// array of input values, one per Expr::inputs(), in that order.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "data/type.h"
#include "data/value.h"

namespace sluice {

// One distinct thing that an expression reads from outside: a root name and the literal path that
// the resolver claimed, e.g. root "steps", path {"entry","output"}.
struct ExprInput {
  std::string root;
  std::vector<std::string> path;
  bool slot = false;  // followed by [index]: only that slot is read (`steps.S.output[index]`)
  SourcePos pos;      // where it is read first: the start of the last claimed path element's owner
                      // (`steps.al.output` points at `al`); a bare root points at the root.
                      // Line and column count within the text given to compile
  std::size_t offset = 0;      // the same place as an offset in bytes
  std::string dotted() const;  // "steps.entry.output" or "steps.entry.output[index]"
};

// What the resolver answers for a root name and the literal names behind it.
struct NameClaim {
  std::size_t path_length = 0;  // how many of `path` belong to the input
  bool sliceable = false;       // a following [index] makes it a slot input
  Type type;                    // of the whole input (of one slot when it is a slot)
  // Set instead when the name is wrong: the code, the message and which part (0 = root,
  // k = path[k-1]) it is about.
  std::optional<ErrorCode> error;
  std::string message;
  std::size_t at = 0;
};
using NameResolver =
    std::function<NameClaim(std::string_view root, std::span<const std::string> path, bool slot)>;

struct ExprError {
  ErrorCode code = ErrorCode::kExprSyntax;
  std::string message;
  // Offset in bytes into the text given to compile.
  std::size_t offset = 0;
};

struct ExprLimits {
  std::uint32_t max_depth = 64;             // nesting of the text, checked when it is compiled
  std::size_t max_text_bytes = 1 << 20;     // of the text
  std::uint64_t max_steps = 50'000'000;     // operations and elements visited in one evaluation
  std::size_t max_output_bytes = 64 << 20;  // of text and new containers in one evaluation
};

// Reused between evaluations so that the hot path allocates nothing. Not thread-safe.
class EvalContext {
 public:
  EvalContext();
  ~EvalContext();
  EvalContext(const EvalContext&) = delete;
  EvalContext& operator=(const EvalContext&) = delete;
  struct Impl;
  Impl& impl() { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

// A piece of rendered text: `data` pieces came through {{ }} and never become special tokens.
struct TextSegment {
  std::string text;
  bool data = false;
  Labels labels;  // of what it was derived from
};

struct ExprProgram;

class Expr {
 public:
  // A whole string of a plan. Trimmed exactly one {{ }}: an expression that keeps its JSON type.
  // Otherwise with {{ or {%: a template that gives text. Otherwise: the literal string.
  // On failure gives every error found (at least one).
  static std::expected<Expr, std::vector<ExprError>> compile(std::string_view text,
                                                             const NameResolver& names,
                                                             const ExprLimits& limits = {});
  static Expr constant(Value value);

  std::span<const ExprInput> inputs() const;
  std::optional<Value> as_constant() const;  // set when it reads nothing and folds
  const Type& type() const;                  // inferred; any where unknown
  bool is_template() const;                  // gives text from a template
  // The input that the expression is, exactly (`{{ steps.S.output }}`), as an index into inputs().
  std::optional<std::size_t> as_input() const;
  // As it was written, normalized; compile(to_string()) gives an equal Expr.
  std::string to_string() const;
  // The same with other names: where `replacements[i]` is set, that text (an expression) stands in
  // place of inputs()[i]. To be compiled again; parentheses are added where they are needed.
  // nullopt when that would change its meaning: a name inside the text is one of its own loops'.
  std::optional<std::string> to_string_with(
      std::span<const std::optional<std::string>> replacements) const;
  // The operands of its outermost `and`, in order, each as an expression's text without {{ }}; one
  // when there is none. Empty for templates.
  std::vector<std::string> conjuncts() const;
  // Certain misuse found when compiling (a filter on a wrong type, a property that can never be).
  std::span<const ExprError> type_errors() const;

  // `inputs[i]` is the value of inputs()[i]. Errors: kExprUndefined, kExprType, kExprLimit,
  // kExprArithmetic; the message names the expression and the value last.
  Result<Value> evaluate(std::span<const Value> inputs, EvalContext& context) const;
  // As text in pieces, for literal `prompt` strings.
  Result<std::vector<TextSegment>> render(std::span<const Value> inputs,
                                          EvalContext& context) const;

 private:
  explicit Expr(std::shared_ptr<const ExprProgram> program) : program_(std::move(program)) {}
  friend struct ExprProgram;
  std::shared_ptr<const ExprProgram> program_;
};

// The truth of a value as Jinja has it (empty is false, null is false, 0 is false).
bool truthy(const Value& value);
// The filters and tests that exist, for suggestions, docs and shell completion.
std::span<const std::string_view> expr_filters();
std::span<const std::string_view> expr_tests();

}  // namespace sluice
