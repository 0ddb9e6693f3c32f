// Evaluation of templates to text.
#include "base/ensure.h"
#include "data/expr/evaluate.h"
#include "data/json.h"
#include "fmt/format.h"

namespace sluice::expr {

Result<Value> Evaluation::run() {
  if (!program_.is_template) {
    Value scratch;
    const Value* value = eval(program_.root, scratch);
    if (value == nullptr) return std::unexpected(std::move(*error_));
    if (value == &scratch) return scratch;
    return *value;
  }
  Sink sink(context_.text);
  if (!template_text(sink)) return std::unexpected(std::move(*error_));
  Value text = Value::string(sink.text);
  return sink.labels.none() ? text : text.with_labels(sink.labels);
}

Result<std::vector<TextSegment>> Evaluation::render() {
  std::vector<TextSegment> segments;
  Sink sink(context_.text, &segments);
  if (program_.is_template) {
    if (!template_text(sink)) return std::unexpected(std::move(*error_));
    end_segment(sink);
    return segments;
  }
  Value scratch;
  const Value* value = eval(program_.root, scratch);
  std::string text;
  if (value == nullptr || !append_text(program_.root, text, *value)) {
    return std::unexpected(std::move(*error_));
  }
  segments.push_back({std::move(text), !program_.literal, value->labels()});
  return segments;
}

bool Evaluation::template_text(Sink& sink) {
  constexpr std::size_t kKeptBytes = std::size_t{1} << 20;
  if (sink.text.capacity() > kKeptBytes) sink.text = std::string();
  sink.text.clear();
  if (context_.locals.size() < program_.locals) context_.locals.resize(program_.locals);
  if (context_.loops.size() < program_.loops.size()) context_.loops.resize(program_.loops.size());
  bool good = emit(program_.root, sink);
  for (std::uint32_t i = 0; i < program_.locals; ++i) context_.locals[i] = Value();
  return good;
}

void Evaluation::end_segment(Sink& sink) {
  if (sink.segments == nullptr || sink.text.size() == sink.segment_begin) return;
  sink.segments->push_back({sink.text.substr(sink.segment_begin), sink.data, sink.segment_labels});
  sink.segment_begin = sink.text.size();
  sink.segment_labels = {};
}

bool Evaluation::emit(NodeId id, Sink& sink) {
  const Node& node = program_.nodes[id];
  if (!step()) return false;
  switch (node.op) {
    case Op::kText: {
      std::string_view text = program_.constants[node.a].as_string();
      if (sink.data) end_segment(sink);
      sink.data = false;
      if (!grow(text.size()) || !scan(text.size())) return false;
      sink.text += text;
      return true;
    }
    case Op::kOutput:
      return emit_output(id, node, sink);
    case Op::kSequence:
      for (NodeId kid : program_.kids_of(node)) {
        if (!emit(kid, sink)) return false;
      }
      return true;
    case Op::kIf:
      return emit_if(node, sink);
    case Op::kFor:
      return emit_for(node, sink);
    default:
      return fail(id, ErrorCode::kInternal, "a value where a template belongs");
  }
}

bool Evaluation::emit_output(NodeId id, const Node& node, Sink& sink) {
  Value scratch;
  const Value* value = eval(node.a, scratch);
  if (value == nullptr) return false;
  if (!sink.data) end_segment(sink);
  sink.data = true;
  sink.labels = sink.labels | value->labels();
  sink.segment_labels = sink.segment_labels | value->labels();
  return append_text(id, sink.text, *value);
}

bool Evaluation::emit_if(const Node& node, Sink& sink) {
  auto kids = program_.kids_of(node);
  for (std::size_t i = 0; i < kids.size(); i += 2) {
    Value scratch;
    const Value* condition = eval(kids[i], scratch);
    if (condition == nullptr) return false;
    sink.labels = sink.labels | condition->labels();
    if (truthy(*condition)) return emit(kids[i + 1], sink);
  }
  return node.c == kNone || emit(node.c, sink);
}

bool Evaluation::bind_targets(NodeId id, const Loop& loop, const Value& item, Labels labels) {
  auto bind = [&](std::uint32_t i, const Value& value, Labels more) {
    context_.locals[loop.first_local + i] = more.none() ? value : value.with_labels(more);
  };
  if (loop.targets == 1) {
    bind(0, item, labels);
    return true;
  }
  // `for key, items in x | groupby(...)` takes an object's values in order.
  if (!(item.is_array() || item.is_object()) || item.size() != loop.targets) {
    return fail(id, ErrorCode::kExprType,
                fmt::format("for {} needs items of {} values: {}", fmt::join(loop.names, ", "),
                            loop.targets, preview(item)));
  }
  labels = labels | element_labels(item);
  for (std::uint32_t i = 0; i < loop.targets; ++i) {
    bind(i, item.is_array() ? item.items()[i] : item.members()[i].second, labels);
  }
  return true;
}

bool Evaluation::emit_for(const Node& node, Sink& sink) {
  const Loop& loop = program_.loops[node.a];
  Value scratch;
  const Value* iterable = eval(loop.iterable, scratch);
  if (iterable == nullptr) return false;
  if (!iterable->is_array() && !iterable->is_object()) {
    return fail(loop.iterable, ErrorCode::kExprType,
                fmt::format("for needs an array or an object, not {}: {}", kind_words(*iterable),
                            preview(*iterable)));
  }
  sink.labels = sink.labels | element_labels(*iterable);
  std::size_t length = iterable->size();
  if (length == 0) return loop.otherwise == kNone || emit(loop.otherwise, sink);
  auto& state = context_.loops[node.a];
  state = {0, length, element_labels(*iterable)};
  for (std::size_t i = 0; i < length; ++i) {
    state.index = i;
    if (!step()) return false;
    bool bound = false;
    if (iterable->is_array()) {
      bound = bind_targets(loop.iterable, loop, iterable->items()[i], state.labels);
    } else {
      Value key = Value::string(iterable->members()[i].first);
      bound = bind_targets(loop.iterable, loop, key, state.labels);
    }
    if (!bound || !emit(loop.body, sink)) return false;
  }
  return true;
}

}  // namespace sluice::expr
