// Evaluation of a compiled expression: one object per evaluation, on the stack of the caller's
// thread. It counts steps and output, and keeps the first error. Values are handed around as
// pointers into inputs, constants or a caller's scratch, so that scalars allocate nothing.
#pragma once

#include <list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/expr/calls.h"
#include "data/expr/program.h"

namespace sluice {

struct EvalContext::Impl {
  struct LoopState {
    std::size_t index = 0;
    std::size_t length = 0;
    Labels labels;
  };
  std::string text;  // the buffer that templates grow
  std::vector<Value> locals;
  std::vector<LoopState> loops;
  // Patterns that are not constants, the latest first.
  std::list<re2::RE2> regexes;
};

namespace expr {

// Values may be nested deeper than the stack is; what recurses over them stops here.
inline constexpr std::uint32_t kMaxValueDepth = 1000;

// A pattern that is no constant is compiled while the expression runs.
inline constexpr std::uint64_t kRegexCompileSteps = 20'000;

class Evaluation {
 public:
  Evaluation(const ExprProgram& program, std::span<const Value> inputs, EvalContext::Impl& context,
             const ExprLimits& limits)
      : program_(program), inputs_(inputs), context_(context), limits_(limits) {}

  // Null on an error (see error()), or, where `soft`, when the value is undefined (take_missing()).
  // The result points to `scratch` or to something that outlives the evaluation of the node's
  // parent.
  const Value* eval(NodeId id, Value& scratch, bool soft = false);
  // The whole program.
  Result<Value> run();
  Result<std::vector<TextSegment>> render();

  // For filters. Each returns false (or null) after recording an error.
  bool step(std::uint64_t n = 1) {
    steps_ += n;
    return steps_ <= limits_.max_steps || out_of_steps();
  }
  bool grow(std::size_t bytes) {
    output_bytes_ += bytes;
    return output_bytes_ <= limits_.max_output_bytes || out_of_output();
  }
  // Work on so many bytes of text.
  bool scan(std::size_t bytes) { return step(1 + bytes / 32); }
  bool fail(NodeId at, ErrorCode code, std::string_view message);
  bool undefined(NodeId at, bool soft, std::string_view message);
  bool too_deep(NodeId at);
  const re2::RE2* regex(NodeId at, std::string_view pattern);

  // The value of a dotted path ("a.b.0"), as in attribute="a.b".
  const Value* attribute(NodeId at, const Value& item, std::string_view path, Value& scratch,
                         bool soft);
  const Value* member(NodeId at, const Value& base, std::string_view name, Value& scratch,
                      bool soft);
  const Value* index(NodeId at, const Value& base, const Value& index, Value& scratch, bool soft);
  // The filter or test that map, select ... apply.
  struct Arguments {
    std::array<Value, kMaxParams> scratch;
    std::array<const Value*, kMaxParams> values{};
  };
  bool arguments(const Call& call, Arguments& out);
  bool apply_filter(NodeId at, const Call& call, const Value* subject, const Arguments& arguments,
                    bool soft, Value& out);
  bool apply_test(NodeId at, const Call& call, const Value* subject, const Arguments& arguments,
                  bool& out);
  const Call& inner(const Call& call) const { return program_.calls[call.inner]; }

  bool arithmetic(NodeId at, Arithmetic op, const Value& a, const Value& b, Value& out);
  bool compare(NodeId at, Comparison op, const Value& a, const Value& b, bool& out);
  // Metered versions of what Value can do unmetered.
  bool equal(NodeId at, const Value& a, const Value& b, bool& out, std::uint32_t depth = 0);
  // -1, 0, 1; an error where the two have no order.
  bool order(NodeId at, const Value& a, const Value& b, int& out, std::uint32_t depth = 0);
  bool contains(NodeId at, const Value& container, const Value& item, bool& out);
  // As text: strings as they are, all else as JSON.
  bool append_text(NodeId at, std::string& out, const Value& value);
  bool append_json(NodeId at, std::string& out, const Value& value, int indent,
                   std::uint32_t depth = 0);
  bool make_string(std::string_view text, Value& out);

  std::string_view source(NodeId id) const;
  const ExprProgram& program() const { return program_; }
  bool failed() const { return error_.has_value(); }
  // Whether the last soft evaluation met an undefined value; forgets it.
  bool take_missing() {
    bool was = missing_;
    missing_ = false;
    return was;
  }

 private:
  struct Sink {
    explicit Sink(std::string& buffer, std::vector<TextSegment>* pieces = nullptr)
        : text(buffer), segments(pieces) {}
    std::string& text;
    std::vector<TextSegment>* segments;
    Labels labels;
    std::size_t segment_begin = 0;
    bool data = false;
    Labels segment_labels;
  };

  const Value* eval_list(const Node& node, Value& scratch);
  const Value* eval_dict(const Node& node, Value& scratch);
  const Value* eval_slice(NodeId id, const Node& node, Value& scratch, bool soft);
  const Value* eval_sign(NodeId id, const Node& node, Value& scratch);
  const Value* eval_binary(NodeId id, const Node& node, Value& scratch);
  const Value* eval_chain(NodeId id, const Node& node, Value& scratch);
  const Value* eval_logic(const Node& node, Value& scratch);
  const Value* eval_concat(NodeId id, const Node& node, Value& scratch);
  const Value* eval_conditional(NodeId id, const Node& node, Value& scratch, bool soft);
  const Value* eval_filter(NodeId id, const Node& node, Value& scratch, bool soft);
  const Value* eval_test(NodeId id, const Node& node, Value& scratch);
  const Value* eval_possible(const Node& node, Value& scratch);
  const Value* eval_loop_field(const Node& node, Value& scratch);
  bool number_operation(NodeId at, Arithmetic op, const Value& a, const Value& b, Value& out);
  bool repeat_items(const Value& array, std::uint64_t times, std::vector<Value>* items);
  bool repeat(const Value& sequence, std::int64_t count, Value& out);
  bool take_slice(const Value& base, const std::optional<std::int64_t> (&bounds)[3], Value& out);
  bool check_call(NodeId at, const Call& call, const Value* subject, std::uint16_t accepts,
                  std::string_view name, std::span<const Param> params,
                  std::array<const Value*, kMaxParams>& args);

  bool emit(NodeId id, Sink& sink);
  bool emit_output(NodeId id, const Node& node, Sink& sink);
  bool emit_if(const Node& node, Sink& sink);
  bool emit_for(const Node& node, Sink& sink);
  bool bind_targets(NodeId id, const Loop& loop, const Value& item, Labels labels);
  void end_segment(Sink& sink);
  bool template_text(Sink& sink);

  bool out_of_steps();
  bool out_of_output();

  const ExprProgram& program_;
  std::span<const Value> inputs_;
  EvalContext::Impl& context_;
  const ExprLimits& limits_;
  std::uint64_t steps_ = 0;
  std::size_t output_bytes_ = 0;
  bool missing_ = false;
  std::optional<Error> error_;
};

// What an element takes from the container it is read from.
inline Labels element_labels(const Value& container) {
  Labels labels = container.labels();
  if (container.secret_only_inside()) labels.secret = false;  // the element has its own
  return labels;
}

}  // namespace expr
}  // namespace sluice
