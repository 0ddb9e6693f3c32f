#include "data/expr.h"

#include "base/ensure.h"
#include "data/expr/evaluate.h"
#include "data/expr/infer.h"
#include "data/expr/parser.h"
#include "data/expr/printer.h"
#include "data/expr/text.h"
#include "data/expr/token.h"
#include "fmt/format.h"

namespace sluice {
namespace {

using expr::Evaluation;

std::shared_ptr<ExprProgram> literal_program(Value value) {
  auto program = std::make_shared<ExprProgram>();
  program->literal = true;
  program->constants.push_back(Value());
  program->constants.push_back(value);
  program->nodes.resize(2);
  program->nodes[1].a = 1;
  program->root = 1;
  program->type = Type::of_value(value);
  program->constant = std::move(value);
  return program;
}

// What reads nothing is evaluated once, under limits that keep compiling cheap.
void fold(ExprProgram& program) {
  if (!program.inputs.empty()) return;
  ExprLimits limits = program.limits;
  limits.max_steps = std::min<std::uint64_t>(limits.max_steps, 100'000);
  limits.max_output_bytes = std::min<std::size_t>(limits.max_output_bytes, 1 << 20);
  EvalContext context;
  auto value = Evaluation(program, {}, context.impl(), limits).run();
  if (value) program.constant = std::move(*value);
}

std::unexpected<std::vector<ExprError>> one_error(ErrorCode code, std::string message,
                                                  std::size_t offset = 0) {
  return std::unexpected(std::vector<ExprError>{{code, std::move(message), offset}});
}

}  // namespace

EvalContext::EvalContext() : impl_(std::make_unique<Impl>()) {}
EvalContext::~EvalContext() = default;

std::string ExprInput::dotted() const {
  std::string text = root;
  for (const std::string& name : path) text += "." + name;
  return slot ? text + "[index]" : text;
}

std::expected<Expr, std::vector<ExprError>> Expr::compile(std::string_view text,
                                                          const NameResolver& names,
                                                          const ExprLimits& limits) {
  std::size_t valid = utf8_valid_prefix(text);
  if (valid != text.size()) {
    return one_error(ErrorCode::kUtf8Invalid, "the text is not valid UTF-8", valid);
  }
  if (!expr::has_markup(text)) return constant(Value::string(text));
  if (text.size() > std::min<std::size_t>(limits.max_text_bytes, std::size_t{1} << 30)) {
    return one_error(ErrorCode::kExprLimit,
                     fmt::format("longer than {} bytes; split the text", limits.max_text_bytes));
  }
  auto program = expr::Parser(text, expr::lex(text), names, limits).run();
  if (!program) return std::unexpected(std::move(program.error()));
  expr::infer(**program);
  fold(**program);
  return Expr(std::move(*program));
}

// Every binding is made with a null, most of them to be given something else.
Expr Expr::constant(Value value) {
  static const std::shared_ptr<const ExprProgram> null = literal_program(Value());
  if (value.is_null() && value.labels() == Labels()) return Expr(null);
  return Expr(literal_program(std::move(value)));
}

std::span<const ExprInput> Expr::inputs() const { return program_->inputs; }
std::optional<Value> Expr::as_constant() const { return program_->constant; }
const Type& Expr::type() const { return program_->type; }
bool Expr::is_template() const { return program_->is_template; }
std::string Expr::to_string() const { return expr::print(*program_); }
std::span<const ExprError> Expr::type_errors() const { return program_->type_errors; }

std::optional<std::size_t> Expr::as_input() const {
  const expr::Node& root = program_->nodes[program_->root];
  if (program_->is_template || root.op != expr::Op::kInput) return std::nullopt;
  return root.a;
}

Result<Value> Expr::evaluate(std::span<const Value> inputs, EvalContext& context) const {
  if (program_->constant) return *program_->constant;
  SLUICE_ENSURE(inputs.size() == program_->inputs.size(), "an expression needs all its inputs");
  return Evaluation(*program_, inputs, context.impl(), program_->limits).run();
}

Result<std::vector<TextSegment>> Expr::render(std::span<const Value> inputs,
                                              EvalContext& context) const {
  SLUICE_ENSURE(inputs.size() == program_->inputs.size(), "an expression needs all its inputs");
  return Evaluation(*program_, inputs, context.impl(), program_->limits).render();
}

}  // namespace sluice
