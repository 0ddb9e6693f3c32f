// Calling filters and tests: arguments, checks against the table, labels.
#include "data/expr/evaluate.h"
#include "data/json.h"
#include "fmt/format.h"

namespace sluice::expr {

bool Evaluation::arguments(const Call& call, Arguments& out) {
  for (std::size_t i = 0; i < kMaxParams; ++i) {
    if (call.args[i] == kNone) continue;
    out.values[i] = eval(call.args[i], out.scratch[i]);
    if (out.values[i] == nullptr) return false;
  }
  return true;
}

bool Evaluation::check_call(NodeId at, const Call& call, const Value* subject,
                            std::uint16_t accepts, std::string_view name,
                            std::span<const Param> params,
                            std::array<const Value*, kMaxParams>& args) {
  if (subject != nullptr && (accepts & kind_bit(*subject)) == 0) {
    return fail(at, ErrorCode::kExprType,
                fmt::format("{} needs {}, not {}: {}", name, kind_words(accepts),
                            kind_words(*subject), preview(*subject)));
  }
  for (std::size_t i = 0; i < kMaxParams; ++i) {
    if (args[i] == nullptr || (params[i].kinds & kind_bit(*args[i])) != 0) continue;
    if (args[i]->is_null() && !params[i].required) {
      args[i] = nullptr;  // none stands for "omitted", as in Jinja
      continue;
    }
    NodeId where = call.args[i] == kNone ? at : call.args[i];
    return fail(where, ErrorCode::kExprType,
                fmt::format("{} of {} must be {}, not {}: {}", params[i].name, name,
                            kind_words(params[i].kinds), kind_words(*args[i]), preview(*args[i])));
  }
  return true;
}

bool Evaluation::apply_filter(NodeId at, const Call& call, const Value* subject,
                              const Arguments& arguments, bool soft, Value& out) {
  const FilterSpec& spec = *call.filter;
  CallFrame frame{*this, at, call, subject, arguments.values, soft};
  if (!check_call(at, call, subject, spec.accepts, spec.name, spec.params, frame.args)) {
    return false;
  }
  if (!spec.apply(frame, out)) return false;
  Labels labels;
  if (subject != nullptr) {
    bool children_keep_theirs =
        out.is_array() || out.is_object() || spec.rule == ResultRule::kElement;
    labels = children_keep_theirs ? element_labels(*subject) : subject->labels();
  }
  for (const Value* argument : frame.args) {
    if (argument != nullptr) labels = labels | argument->labels();
  }
  if (!labels.none()) out = out.with_labels(labels);
  return true;
}

bool Evaluation::apply_test(NodeId at, const Call& call, const Value* subject,
                            const Arguments& arguments, bool& out) {
  const TestSpec& spec = *call.test;
  CallFrame frame{*this, at, call, subject, arguments.values, false};
  return check_call(at, call, subject, spec.accepts, spec.name, spec.params, frame.args) &&
         spec.apply(frame, out);
}

bool CallFrame::flag(std::size_t i, bool otherwise) const {
  return args[i] == nullptr ? otherwise : truthy(*args[i]);
}

std::int64_t CallFrame::integer(std::size_t i, std::int64_t otherwise) const {
  if (args[i] == nullptr) return otherwise;
  if (args[i]->is_int()) return args[i]->as_int();
  // Beyond int64: as far as it goes.
  bool negative = args[i]->kind() == Value::Kind::kBigInt && args[i]->as_string()[0] == '-';
  return negative ? INT64_MIN : INT64_MAX;
}

std::string_view CallFrame::text(std::size_t i, std::string_view otherwise) const {
  return args[i] == nullptr ? otherwise : args[i]->as_string();
}

bool CallFrame::fail(ErrorCode code, std::string_view message) const {
  return run.fail(node, code, message);
}

bool CallFrame::undefined(std::string_view message) const {
  return run.undefined(node, soft, message);
}

std::string kind_words(std::uint16_t kinds) {
  struct Word {
    std::uint16_t kinds;
    std::string_view text;
  };
  static constexpr Word kWords[] = {{Type::kString, "a string"},    {Type::kNumber, "a number"},
                                    {Type::kInteger, "an integer"}, {Type::kFraction, "a fraction"},
                                    {Type::kArray, "an array"},     {Type::kObject, "an object"},
                                    {Type::kBoolean, "a boolean"},  {Type::kBlob, "a blob"},
                                    {Type::kVector, "a vector"},    {Type::kNull, "null"}};
  std::string out;
  for (const Word& word : kWords) {
    if ((kinds & word.kinds) != word.kinds) continue;
    kinds = static_cast<std::uint16_t>(kinds & ~word.kinds);
    if (!out.empty()) out += kinds == 0 ? " or " : ", ";
    out += word.text;
  }
  return out.empty() ? "nothing" : out;
}

std::string kind_words(const Value& value) {
  return value.kind() == Value::Kind::kDouble ? "a number" : kind_words(kind_bit(value));
}

}  // namespace sluice::expr
