// Equality, order, membership and truth.
#include <algorithm>

#include "data/expr/evaluate.h"
#include "data/json.h"
#include "fmt/format.h"

namespace sluice {

bool truthy(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::kNull:
      return false;
    case Value::Kind::kBool:
      return value.as_bool();
    case Value::Kind::kInt:
      return value.as_int() != 0;
    case Value::Kind::kBigInt:
      return true;
    case Value::Kind::kDouble:
      return value.as_double() != 0;
    case Value::Kind::kString:
      return !value.as_string().empty();
    case Value::Kind::kArray:
      return !value.items().empty();
    case Value::Kind::kObject:
      return !value.members().empty();
    case Value::Kind::kBlob:
      return value.blob_size() != 0;
    case Value::Kind::kVector:
      return !value.floats().empty();
  }
  return false;
}

namespace expr {

bool Evaluation::equal(NodeId at, const Value& a, const Value& b, bool& out, std::uint32_t depth) {
  if (!step()) return false;
  out = false;
  bool containers = (a.is_array() && b.is_array()) || (a.is_object() && b.is_object());
  if (!containers) {
    if (a.is_string() && !scan(a.as_string().size())) return false;
    out = a == b;
    return true;
  }
  if (a.size() != b.size()) return true;
  if (depth > kMaxValueDepth) return too_deep(at);
  out = true;
  if (a.is_array()) {
    if (a.items().data() == b.items().data()) return true;
    for (std::size_t i = 0; out && i < a.items().size(); ++i) {
      if (!equal(at, a.items()[i], b.items()[i], out, depth + 1)) return false;
    }
    return true;
  }
  if (a.members().data() == b.members().data()) return true;
  for (const auto& [name, value] : a.members()) {
    const Value* other = b.find(name);
    if (other == nullptr)
      out = false;
    else if (!equal(at, value, *other, out, depth + 1))
      return false;
    if (!out) break;
  }
  return true;
}

bool Evaluation::order(NodeId at, const Value& a, const Value& b, int& out, std::uint32_t depth) {
  if (!step()) return false;
  if (a.is_number() && b.is_number()) {
    out = compare_numbers(a, b);
    return true;
  }
  if (a.is_string() && b.is_string()) {
    int sign = a.as_string().compare(b.as_string());
    out = (sign > 0) - (sign < 0);
    return scan(std::min(a.as_string().size(), b.as_string().size()));
  }
  if (a.is_bool() && b.is_bool()) {
    out = static_cast<int>(a.as_bool()) - static_cast<int>(b.as_bool());
    return true;
  }
  if (!a.is_array() || !b.is_array()) {
    return fail(at, ErrorCode::kExprType,
                fmt::format("{} and {} have no order: {} and {}", kind_words(a), kind_words(b),
                            preview(a, 60), preview(b, 60)));
  }
  if (depth > kMaxValueDepth) return too_deep(at);
  std::size_t shorter = std::min(a.items().size(), b.items().size());
  for (std::size_t i = 0; i < shorter; ++i) {
    bool same = false;
    if (!equal(at, a.items()[i], b.items()[i], same, depth + 1)) return false;
    if (!same) return order(at, a.items()[i], b.items()[i], out, depth + 1);
  }
  out = a.items().size() < b.items().size() ? -1 : a.items().size() > b.items().size() ? 1 : 0;
  return true;
}

bool Evaluation::contains(NodeId at, const Value& container, const Value& item, bool& out) {
  out = false;
  if (container.is_array()) {
    for (const Value& one : container.items()) {
      if (!equal(at, one, item, out)) return false;
      if (out) return true;
    }
    return true;
  }
  if (container.is_object()) {
    out = item.is_string() && container.find(item.as_string()) != nullptr;
    return true;
  }
  if (container.is_string() && item.is_string()) {
    if (!scan(container.as_string().size() + item.as_string().size())) return false;
    out = container.as_string().find(item.as_string()) != std::string_view::npos;
    return true;
  }
  if (container.is_string()) {
    return fail(at, ErrorCode::kExprType,
                fmt::format("only a string can be in a string, not {}: {}", kind_words(item),
                            preview(item)));
  }
  return fail(at, ErrorCode::kExprType,
              fmt::format("in needs an array, an object or a string on its right, not {}: {}",
                          kind_words(container), preview(container)));
}

bool Evaluation::compare(NodeId at, Comparison op, const Value& a, const Value& b, bool& out) {
  int sign = 0;
  switch (op) {
    case Comparison::kEq:
      return equal(at, a, b, out);
    case Comparison::kNe:
      if (!equal(at, a, b, out)) return false;
      out = !out;
      return true;
    case Comparison::kIn:
      return contains(at, b, a, out);
    case Comparison::kNotIn:
      if (!contains(at, b, a, out)) return false;
      out = !out;
      return true;
    case Comparison::kLt:
    case Comparison::kLe:
    case Comparison::kGt:
    case Comparison::kGe:
      break;
  }
  if (a.is_int() && b.is_int()) {
    sign = a.as_int() < b.as_int() ? -1 : a.as_int() > b.as_int() ? 1 : 0;
  } else if (!order(at, a, b, sign)) {
    return false;
  }
  out = op == Comparison::kLt   ? sign < 0
        : op == Comparison::kLe ? sign <= 0
        : op == Comparison::kGt ? sign > 0
                                : sign >= 0;
  return true;
}

}  // namespace expr
}  // namespace sluice
