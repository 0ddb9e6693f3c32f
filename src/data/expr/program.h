// The compiled form of an expression: a flat array of nodes, children before their parents, with
// side tables. Built once by the parser, then immutable; any thread may read it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/expr.h"
#include "re2/re2.h"

namespace sluice::expr {

using NodeId = std::uint32_t;
inline constexpr NodeId kNone = 0;  // node 0 is the null constant; stands for "omitted"
inline constexpr std::uint32_t kNoCall = ~std::uint32_t{0};
inline constexpr std::size_t kMaxParams = 4;

enum class Op : std::uint8_t {
  kConst,        // a: constants
  kInput,        // a: inputs
  kLocal,        // a: local variable
  kLoop,         // a: loops; flag: LoopField
  kList,         // a: first kid, b: count
  kDict,         // a: first kid, b: count of kids (key, value, key, value ...)
  kMember,       // a: base, b: names
  kIndex,        // a: base, b: index
  kSlice,        // a: base, b: first of three kids (kNone: omitted)
  kNot,          // a
  kNegate,       // a
  kPlus,         // a
  kArithmetic,   // a, b; flag: Arithmetic
  kConcat,       // a: first kid, b: count
  kAnd,          // a: first kid, b: count
  kOr,           // a: first kid, b: count
  kCompare,      // a, b; flag: Comparison
  kChain,        // a: first kid, b: count: operand, Comparison, operand, Comparison, operand ...
  kTest,         // a: subject, b: calls; flag 1: `is not`
  kFilter,       // a: subject, b: calls
  kConditional,  // a: condition, b: then, c: else (kNone: omitted)
  // Templates
  kText,      // a: constants
  kOutput,    // a: expression
  kSequence,  // a: first kid, b: count
  kIf,        // a: first kid, b: count of kids (condition, body ...); c: else (kNone: none)
  kFor,       // a: loops
};

enum class Arithmetic : std::uint8_t {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloor,
  kModulo,
  kPower
};
enum class Comparison : std::uint8_t { kEq, kNe, kLt, kLe, kGt, kGe, kIn, kNotIn };
enum class LoopField : std::uint8_t {
  kIndex,
  kIndex0,
  kFirst,
  kLast,
  kLength,
  kRevindex,
  kRevindex0
};
inline constexpr std::array<std::string_view, 7> kLoopFields = {
    "index", "index0", "first", "last", "length", "revindex", "revindex0"};

struct Node {
  Op op = Op::kConst;
  std::uint8_t flag = 0;
  std::uint16_t height = 1;
  std::uint32_t a = 0;
  std::uint32_t b = 0;
  std::uint32_t c = 0;
  std::uint32_t begin = 0;  // where it stands in the source
  std::uint32_t end = 0;
};

struct FilterSpec;
struct TestSpec;

// A filter or a test with its arguments bound to parameters.
struct Call {
  const FilterSpec* filter = nullptr;  // one of the two is set
  const TestSpec* test = nullptr;
  std::array<NodeId, kMaxParams> args{};  // kNone: omitted
  std::uint32_t inner = kNoCall;          // the filter or test that map, select ... apply
  std::shared_ptr<const re2::RE2> regex;  // of a constant pattern
};

// Errors are returned, not logged; a pattern that needs more memory is refused.
inline re2::RE2::Options regex_options() {
  re2::RE2::Options options(re2::RE2::CannedOptions::Quiet);
  options.set_max_mem(2 << 20);
  return options;
}

struct Loop {
  std::uint32_t first_local = 0;  // the targets are neighbours
  std::uint32_t targets = 1;
  NodeId iterable = kNone;
  NodeId body = kNone;
  NodeId otherwise = kNone;
  std::vector<std::string> names;  // of the targets, for the printer
};

}  // namespace sluice::expr

namespace sluice {

struct ExprProgram {
  std::string source;
  std::vector<expr::Node> nodes;
  std::vector<expr::NodeId> kids;
  std::vector<Value> constants;
  std::vector<std::string> names;
  std::vector<expr::Call> calls;
  std::vector<expr::Loop> loops;
  std::uint32_t locals = 0;
  std::vector<ExprInput> inputs;
  std::vector<Type> input_types;
  expr::NodeId root = expr::kNone;
  bool is_template = false;
  bool literal = false;  // written without {{ }}, or made by Expr::constant
  std::optional<Value> constant;
  Type type;
  std::vector<ExprError> type_errors;
  ExprLimits limits;

  std::span<const expr::NodeId> kids_of(const expr::Node& node) const {
    return std::span(kids).subspan(node.a, node.b);
  }
  static Expr wrap(std::shared_ptr<const ExprProgram> program) { return Expr(std::move(program)); }
  static const ExprProgram& of(const Expr& wrapped) { return *wrapped.program_; }
};

}  // namespace sluice
