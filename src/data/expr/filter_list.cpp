// Lists: length, ends, joining, cutting and gluing.
#include <algorithm>

#include "data/expr/filters.h"
#include "data/expr/text.h"
#include "fmt/format.h"

namespace sluice::expr {
namespace {

bool characters(CallFrame& call, std::vector<Value>& out) {
  std::string_view text = call.subject->as_string();
  if (!call.run.step(text.size()) || !call.run.grow(text.size() * sizeof(Value))) return false;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t length = utf8_length(text, at);
    out.push_back(Value::string(text.substr(at, length)));
    at += length;
  }
  return true;
}

// The items of an array or vector, the characters of a string, the keys of an object.
bool elements(CallFrame& call, std::vector<Value>& out) {
  const Value& subject = *call.subject;
  if (subject.is_string()) return characters(call, out);
  if (!call.run.step(subject.size()) || !call.run.grow(subject.size() * sizeof(Value)))
    return false;
  if (subject.is_array()) {
    out.assign(subject.items().begin(), subject.items().end());
  } else if (subject.is_object()) {
    for (const auto& [name, value] : subject.members()) {
      if (!call.run.grow(name.size())) return false;
      out.push_back(Value::string(name));
    }
  } else {
    for (float number : subject.floats()) out.push_back(Value::number(static_cast<double>(number)));
  }
  return true;
}

bool end_of(CallFrame& call, bool last, Value& out) {
  const Value& subject = *call.subject;
  std::size_t size = subject.is_string() ? subject.as_string().size() : subject.size();
  if (size == 0) return call.undefined("an empty list has no such item; add | default(...)");
  if (subject.is_array()) {
    out = Value(last ? subject.items().back() : subject.items().front());
  } else if (subject.is_object()) {
    return call.run.make_string(last ? subject.members().back().first : subject.members()[0].first,
                                out);
  } else {
    std::string_view text = subject.as_string();
    std::size_t begin = last ? text.size() - 1 : 0;
    while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
    return call.run.make_string(text.substr(begin, utf8_length(text, begin)), out);
  }
  return true;
}

bool flatten_into(CallFrame& call, const Value& value, std::int64_t levels, Labels labels,
                  std::uint32_t depth, std::vector<Value>& out) {
  if (depth > kMaxValueDepth) return call.run.too_deep(call.node);
  for (const Value& item : value.items()) {
    if (!call.run.step()) return false;
    if (item.is_array() && levels > 0) {
      Labels inside = labels | element_labels(item);
      if (!flatten_into(call, item, levels - 1, inside, depth + 1, out)) return false;
      continue;
    }
    if (!call.run.grow(sizeof(Value))) return false;
    out.push_back(labels.none() ? item : item.with_labels(labels));
  }
  return true;
}

}  // namespace

bool filter_length(CallFrame& call, Value& out) {
  if (call.subject->is_string() && !call.run.scan(call.subject->as_string().size())) return false;
  out = Value::integer(static_cast<std::int64_t>(call.subject->size()));
  return true;
}

bool filter_first(CallFrame& call, Value& out) { return end_of(call, false, out); }
bool filter_last(CallFrame& call, Value& out) { return end_of(call, true, out); }

bool filter_list(CallFrame& call, Value& out) {
  if (call.subject->is_array()) {
    out = Value(*call.subject);
    return true;
  }
  std::vector<Value> items;
  if (!elements(call, items)) return false;
  out = Value::array(std::move(items));
  return true;
}

bool filter_reverse(CallFrame& call, Value& out) {
  std::vector<Value> items;
  if (!elements(call, items)) return false;
  std::ranges::reverse(items);
  if (!call.subject->is_string()) {
    out = Value::array(std::move(items));
    return true;
  }
  std::string text;
  for (const Value& item : items) text += item.as_string();
  return call.run.make_string(text, out);
}

bool filter_join(CallFrame& call, Value& out) {
  std::string_view between = call.text(0, "");
  std::string text;
  bool first = true;
  for (const Value& item : call.subject->items()) {
    Value scratch;
    const Value* value = &item;
    if (call.args[1] != nullptr) {
      value = call.run.attribute(call.node, item, call.text(1, ""), scratch, false);
      if (value == nullptr) return false;
    }
    if (!first && !call.run.grow(between.size())) return false;
    if (!first) text += between;
    first = false;
    if (!call.run.scan(between.size()) || !call.run.append_text(call.node, text, *value)) {
      return false;
    }
  }
  out = Value::string(text);
  return true;
}

bool filter_present(CallFrame& call, Value& out) {
  auto items = call.subject->items();
  if (!call.run.step(items.size())) return false;
  if (std::ranges::none_of(items, [](const Value& item) { return item.is_null(); })) {
    out = Value(*call.subject);
    return true;
  }
  std::vector<Value> kept;
  for (const Value& item : items) {
    if (!item.is_null()) kept.push_back(item);
  }
  if (!call.run.grow(kept.size() * sizeof(Value))) return false;
  out = Value::array(std::move(kept));
  return true;
}

bool filter_flatten(CallFrame& call, Value& out) {
  std::vector<Value> items;
  if (!flatten_into(call, *call.subject, call.integer(0, INT64_MAX), {}, 0, items)) return false;
  out = Value::array(std::move(items));
  return true;
}

// [1, 2, 3, 4, 5] | batch(2) -> [[1, 2], [3, 4], [5]]
bool filter_batch(CallFrame& call, Value& out) {
  auto items = call.subject->items();
  std::int64_t size = call.integer(0, 1);
  if (size < 1) return call.fail(ErrorCode::kExprType, fmt::format("batches of {}", size));
  auto width = static_cast<std::size_t>(size);
  std::size_t count = items.size() / width + (items.size() % width != 0 ? 1 : 0);
  std::size_t rest = items.size() % width;
  std::size_t filled = call.args[1] != nullptr && rest != 0 ? width - rest : 0;
  std::size_t values = 0;
  if (__builtin_add_overflow(items.size() + count * 4, filled, &values) || values > (1ULL << 40)) {
    values = 1ULL << 40;
  }
  if (!call.run.step(values) || !call.run.grow(values * sizeof(Value))) return false;
  std::vector<Value> rows;
  for (std::size_t i = 0; i < items.size(); i += width) {
    auto row = items.subspan(i, std::min(width, items.size() - i));
    std::vector<Value> cells(row.begin(), row.end());
    if (filled != 0) {
      while (cells.size() < width) cells.push_back(*call.args[1]);
    }
    rows.push_back(Value::array(std::move(cells)));
    if (items.size() - i <= width) break;
  }
  out = Value::array(std::move(rows));
  return true;
}

// [1, 2, 3, 4, 5] | slice(2) -> [[1, 2, 3], [4, 5]]
bool filter_slice(CallFrame& call, Value& out) {
  auto items = call.subject->items();
  std::int64_t count = call.integer(0, 1);
  if (count < 1) return call.fail(ErrorCode::kExprType, fmt::format("{} slices", count));
  auto slices = static_cast<std::size_t>(count);
  std::size_t work = std::min<std::size_t>(slices, 1ULL << 36) * 4 + items.size();
  if (!call.run.step(work) || !call.run.grow(work * sizeof(Value))) return false;
  std::size_t each = items.size() / slices;
  std::size_t longer = items.size() % slices;
  std::vector<Value> rows;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < slices; ++i) {
    std::size_t length = each + (i < longer ? 1 : 0);
    auto row = items.subspan(begin, length);
    std::vector<Value> cells(row.begin(), row.end());
    if (call.args[1] != nullptr && longer != 0 && i >= longer) cells.push_back(*call.args[1]);
    rows.push_back(Value::array(std::move(cells)));
    begin += length;
  }
  out = Value::array(std::move(rows));
  return true;
}

bool filter_zip(CallFrame& call, Value& out) {
  auto left = call.subject->items();
  auto right = call.args[0]->items();
  std::size_t length = std::min(left.size(), right.size());
  if (!call.run.step(length) || !call.run.grow(length * 6 * sizeof(Value))) return false;
  std::vector<Value> pairs;
  pairs.reserve(length);
  for (std::size_t i = 0; i < length; ++i) pairs.push_back(Value::array({left[i], right[i]}));
  out = Value::array(std::move(pairs));
  return true;
}

}  // namespace sluice::expr
