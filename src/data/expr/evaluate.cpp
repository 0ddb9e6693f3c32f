#include "data/expr/evaluate.h"

#include "data/expr/suggest.h"
#include "data/expr/text.h"
#include "data/json.h"
#include "fmt/format.h"

namespace sluice::expr {
namespace {

constexpr std::size_t kMaxQuoted = 100;

void add_labels(Value& value, Labels labels) {
  if (!labels.none()) value = value.with_labels(labels);
}

// `found` is inside `container`.
const Value* take_element(const Value& container, const Value* found, Value& scratch) {
  Labels labels = element_labels(container);
  if (labels.none()) return found;
  Value labelled = found->with_labels(labels);
  scratch = std::move(labelled);
  return &scratch;
}

}  // namespace

std::string_view Evaluation::source(NodeId id) const {
  const Node& node = program_.nodes[id];
  return std::string_view(program_.source).substr(node.begin, node.end - node.begin);
}

bool Evaluation::fail(NodeId at, ErrorCode code, std::string_view message) {
  if (error_) return false;
  std::string where = cut(source(at), kMaxQuoted);
  if (where.empty()) where = "an expression";
  error_.emplace(code, fmt::format("{}: {}", where, message));
  return false;
}

bool Evaluation::undefined(NodeId at, bool soft, std::string_view message) {
  if (soft) {
    missing_ = true;
    return false;
  }
  return fail(at, ErrorCode::kExprUndefined, message);
}

bool Evaluation::too_deep(NodeId at) {
  return fail(at, ErrorCode::kExprLimit,
              fmt::format("a value nested deeper than {}", kMaxValueDepth));
}

bool Evaluation::out_of_steps() {
  return fail(program_.root, ErrorCode::kExprLimit,
              fmt::format("takes more than {} steps", limits_.max_steps));
}

bool Evaluation::out_of_output() {
  return fail(program_.root, ErrorCode::kExprLimit,
              fmt::format("makes more than {} bytes", limits_.max_output_bytes));
}

bool Evaluation::make_string(std::string_view text, Value& out) {
  if (!grow(text.size()) || !scan(text.size())) return false;
  out = Value::string(text);
  return true;
}

const re2::RE2* Evaluation::regex(NodeId at, std::string_view pattern) {
  constexpr std::size_t kKept = 16;
  for (const re2::RE2& known : context_.regexes) {
    if (known.pattern() == pattern) return &known;
  }
  if (!step(kRegexCompileSteps + pattern.size())) return nullptr;
  if (context_.regexes.size() >= kKept) context_.regexes.pop_back();
  const re2::RE2& made = context_.regexes.emplace_front(re2::StringPiece(pattern), regex_options());
  if (made.ok()) return &made;
  std::string message =
      fmt::format("not a pattern ({}): {}", made.error(), preview(Value::string(pattern)));
  context_.regexes.pop_front();
  fail(at, ErrorCode::kExprType, message);
  return nullptr;
}

const Value* Evaluation::eval(NodeId id, Value& scratch, bool soft) {
  const Node& node = program_.nodes[id];
  if (!step()) return nullptr;
  switch (node.op) {
    case Op::kConst:
      return &program_.constants[node.a];
    case Op::kInput:
      return &inputs_[node.a];
    case Op::kLocal:
      return &context_.locals[node.a];
    case Op::kLoop:
      return eval_loop_field(node, scratch);
    case Op::kList:
      return eval_list(node, scratch);
    case Op::kDict:
      return eval_dict(node, scratch);
    case Op::kMember: {
      const Value* base = eval(node.a, scratch, soft);
      return base == nullptr ? nullptr : member(id, *base, program_.names[node.b], scratch, soft);
    }
    case Op::kIndex: {
      const Value* base = eval(node.a, scratch, soft);
      if (base == nullptr) return nullptr;
      Value index_scratch;
      const Value* key = eval(node.b, index_scratch);
      return key == nullptr ? nullptr : index(id, *base, *key, scratch, soft);
    }
    case Op::kSlice:
      return eval_slice(id, node, scratch, soft);
    case Op::kNot: {
      const Value* operand = eval(node.a, scratch);
      if (operand == nullptr) return nullptr;
      Labels labels = operand->labels();
      scratch = Value::boolean(!truthy(*operand));
      add_labels(scratch, labels);
      return &scratch;
    }
    case Op::kNegate:
    case Op::kPlus:
      return eval_sign(id, node, scratch);
    case Op::kArithmetic:
    case Op::kCompare:
      return eval_binary(id, node, scratch);
    case Op::kChain:
      return eval_chain(id, node, scratch);
    case Op::kConcat:
      return eval_concat(id, node, scratch);
    case Op::kAnd:
    case Op::kOr:
      return eval_logic(node, scratch);
    case Op::kTest:
      return eval_test(id, node, scratch);
    case Op::kFilter:
      return eval_filter(id, node, scratch, soft);
    case Op::kConditional:
      return eval_conditional(id, node, scratch, soft);
    default:
      break;
  }
  fail(id, ErrorCode::kInternal, "a template where a value belongs");
  return nullptr;
}

const Value* Evaluation::eval_list(const Node& node, Value& scratch) {
  std::vector<Value> items(node.b);
  if (!grow(node.b * sizeof(Value))) return nullptr;
  for (std::uint32_t i = 0; i < node.b; ++i) {
    const Value* item = eval(program_.kids[node.a + i], items[i]);
    if (item == nullptr) return nullptr;
    if (item != &items[i]) items[i] = Value(*item);
  }
  scratch = Value::array(std::move(items));
  return &scratch;
}

const Value* Evaluation::eval_dict(const Node& node, Value& scratch) {
  std::vector<Value::Member> members(node.b / 2);
  if (!grow(node.b * sizeof(Value::Member))) return nullptr;
  Labels labels;
  for (std::uint32_t i = 0; i < node.b; i += 2) {
    Value key_scratch;
    NodeId key_node = program_.kids[node.a + i];
    const Value* key = eval(key_node, key_scratch);
    if (key == nullptr) return nullptr;
    if (!key->is_string()) {
      fail(key_node, ErrorCode::kExprType,
           fmt::format("a key of a map is a string, not {}: {}", kind_words(*key), preview(*key)));
      return nullptr;
    }
    labels = labels | key->labels();
    auto& [name, value] = members[i / 2];
    name = key->as_string();
    if (!grow(name.size())) return nullptr;
    const Value* item = eval(program_.kids[node.a + i + 1], value);
    if (item == nullptr) return nullptr;
    if (item != &value) value = Value(*item);
  }
  scratch = Value::object(std::move(members));
  add_labels(scratch, labels);
  return &scratch;
}

const Value* Evaluation::member(NodeId at, const Value& base, std::string_view name, Value& scratch,
                                bool soft) {
  if (const Value* found = base.find(name)) return take_element(base, found, scratch);
  if (soft) {
    missing_ = true;
    return nullptr;
  }
  if (!base.is_object()) {
    undefined(at, false,
              fmt::format("{} has no member {}: {}", kind_words(base), name, preview(base)));
    return nullptr;
  }
  if (base.labels().secret && !base.secret_only_inside()) {
    undefined(at, false, fmt::format("no member {}", name));
    return nullptr;
  }
  constexpr std::size_t kShown = 10;
  std::vector<std::string_view> names;
  for (const auto& [key, value] : base.members()) {
    if (names.size() == 200) break;
    names.push_back(key);
  }
  std::string close = suggest(name, names);
  std::string known;
  for (std::size_t i = 0; i < names.size() && i < kShown; ++i) {
    known += fmt::format("{}{}", i == 0 ? "" : ", ", cut(names[i], 40));
  }
  if (names.size() > kShown) known += ", ...";
  undefined(at, false,
            fmt::format("no member {}; {}{}", name,
                        close.empty() ? "" : fmt::format("did you mean {}? ", cut(close, 40)),
                        names.empty() ? "the object is empty" : "there are: " + known));
  return nullptr;
}

const Value* Evaluation::index(NodeId at, const Value& base, const Value& key, Value& scratch,
                               bool soft) {
  Labels key_labels = key.labels();
  auto labelled = [&](const Value* found) {
    if (found == nullptr || key_labels.none()) return found;
    Value copy = found->with_labels(key_labels);
    scratch = std::move(copy);
    return static_cast<const Value*>(&scratch);
  };
  if (key.is_string()) return labelled(member(at, base, key.as_string(), scratch, soft));
  if (!key.is_int() ||
      !(base.is_array() || base.is_string() || base.kind() == Value::Kind::kVector)) {
    if (key.is_int() && (base.is_object() || base.is_null())) {
      undefined(
          at, soft,
          fmt::format("{} has no item {}: {}", kind_words(base), key.as_int(), preview(base)));
      return nullptr;
    }
    fail(at, ErrorCode::kExprType,
         fmt::format("{} cannot be indexed with {}: {}", kind_words(base), kind_words(key),
                     preview(key)));
    return nullptr;
  }
  if (base.is_string() && !scan(base.as_string().size())) return nullptr;
  auto size = static_cast<std::int64_t>(base.size());
  std::int64_t i = key.as_int() < 0 ? key.as_int() + size : key.as_int();
  if (i < 0 || i >= size) {
    undefined(at, soft,
              fmt::format("no item {}; there {} {}", key.as_int(), size == 1 ? "is" : "are", size));
    return nullptr;
  }
  auto position = static_cast<std::size_t>(i);
  if (base.is_array()) return labelled(take_element(base, &base.items()[position], scratch));
  Labels labels = base.labels() | key_labels;
  if (base.is_string()) {
    std::string_view text = base.as_string();
    std::size_t offset = 0;
    while (position-- > 0) offset += utf8_length(text, offset);
    Value character = Value::string(text.substr(offset, utf8_length(text, offset)));
    scratch = std::move(character);
  } else {
    scratch = Value::number(static_cast<double>(base.floats()[position]));
  }
  add_labels(scratch, labels);
  return &scratch;
}

const Value* Evaluation::attribute(NodeId at, const Value& item, std::string_view path,
                                   Value& scratch, bool soft) {
  const Value* value = &item;
  while (value != nullptr) {
    if (!step()) return nullptr;
    std::size_t dot = path.find('.');
    std::string_view name = path.substr(0, dot);
    bool digits = !name.empty() && name.size() < 10 &&
                  name.find_first_not_of("0123456789") == std::string_view::npos;
    if (digits && !value->is_object()) {
      std::int64_t position = 0;
      for (char c : name) position = position * 10 + (c - '0');
      value = index(at, *value, Value::integer(position), scratch, soft);
    } else {
      value = member(at, *value, name, scratch, soft);
    }
    if (dot == std::string_view::npos) break;
    path = path.substr(dot + 1);
  }
  return value;
}

const Value* Evaluation::eval_loop_field(const Node& node, Value& scratch) {
  const auto& state = context_.loops[node.a];
  auto index = static_cast<std::int64_t>(state.index);
  auto length = static_cast<std::int64_t>(state.length);
  switch (static_cast<LoopField>(node.flag)) {
    case LoopField::kIndex:
      scratch = Value::integer(index + 1);
      break;
    case LoopField::kIndex0:
      scratch = Value::integer(index);
      break;
    case LoopField::kFirst:
      scratch = Value::boolean(index == 0);
      break;
    case LoopField::kLast:
      scratch = Value::boolean(index + 1 == length);
      break;
    case LoopField::kLength:
      scratch = Value::integer(length);
      break;
    case LoopField::kRevindex:
      scratch = Value::integer(length - index);
      break;
    case LoopField::kRevindex0:
      scratch = Value::integer(length - index - 1);
      break;
  }
  add_labels(scratch, state.labels);
  return &scratch;
}

const Value* Evaluation::eval_conditional(NodeId id, const Node& node, Value& scratch, bool soft) {
  const Value* condition = eval(node.a, scratch);
  if (condition == nullptr) return nullptr;
  Labels labels = condition->labels();
  bool chosen = truthy(*condition);
  if (!chosen && node.c == kNone) {
    undefined(id, soft, "the condition is false and there is no else");
    return nullptr;
  }
  const Value* value = eval(chosen ? node.b : node.c, scratch, soft);
  if (value == nullptr || labels.none()) return value;
  Value labelled = value->with_labels(labels);
  scratch = std::move(labelled);
  return &scratch;
}

const Value* Evaluation::eval_logic(const Node& node, Value& scratch) {
  Labels labels;
  const Value* value = nullptr;
  for (NodeId kid : program_.kids_of(node)) {
    value = eval(kid, scratch);
    if (value == nullptr) return nullptr;
    if (truthy(*value) == (node.op == Op::kOr)) break;
    labels = labels | value->labels();
  }
  if (value == nullptr || labels.none()) return value;
  Value labelled = value->with_labels(labels);
  scratch = std::move(labelled);
  return &scratch;
}

const Value* Evaluation::eval_concat(NodeId id, const Node& node, Value& scratch) {
  std::string text;
  Labels labels;
  for (NodeId kid : program_.kids_of(node)) {
    Value part_scratch;
    const Value* part = eval(kid, part_scratch);
    if (part == nullptr || !append_text(id, text, *part)) return nullptr;
    labels = labels | part->labels();
  }
  scratch = Value::string(text);
  add_labels(scratch, labels);
  return &scratch;
}

const Value* Evaluation::eval_filter(NodeId id, const Node& node, Value& scratch, bool soft) {
  const Call& call = program_.calls[node.b];
  Value subject_scratch;
  const Value* subject = eval(node.a, subject_scratch, call.filter->soft);
  if (subject == nullptr && !take_missing()) return nullptr;
  Arguments arguments_of_call;
  if (!arguments(call, arguments_of_call)) return nullptr;
  return apply_filter(id, call, subject, arguments_of_call, soft, scratch) ? &scratch : nullptr;
}

// What went wrong in the subject counts for nothing, nor does what it took until then.
const Value* Evaluation::eval_possible(const Node& node, Value& scratch) {
  const std::uint64_t steps = steps_;
  const std::size_t bytes = output_bytes_;
  Value subject_scratch;
  const Value* subject = eval(node.a, subject_scratch);
  bool result = true;
  Labels labels;
  if (subject != nullptr) {
    result = truthy(*subject);
    labels = subject->labels();
  } else {
    error_.reset();
    missing_ = false;
    steps_ = steps;
    output_bytes_ = bytes;
  }
  scratch = Value::boolean(result != (node.flag == 1));
  add_labels(scratch, labels);
  return &scratch;
}

const Value* Evaluation::eval_test(NodeId id, const Node& node, Value& scratch) {
  const Call& call = program_.calls[node.b];
  if (call.test->forgives) return eval_possible(node, scratch);
  Value subject_scratch;
  const Value* subject = eval(node.a, subject_scratch, call.test->soft);
  if (subject == nullptr && !take_missing()) return nullptr;
  Arguments arguments_of_call;
  bool result = false;
  if (!arguments(call, arguments_of_call) ||
      !apply_test(id, call, subject, arguments_of_call, result)) {
    return nullptr;
  }
  Labels labels = subject == nullptr ? Labels{} : subject->labels();
  for (const Value* argument : arguments_of_call.values) {
    if (argument != nullptr) labels = labels | argument->labels();
  }
  scratch = Value::boolean(result != (node.flag == 1));
  add_labels(scratch, labels);
  return &scratch;
}

}  // namespace sluice::expr
