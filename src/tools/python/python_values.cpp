#include <utility>
#include <vector>

#include "tools/base64.h"
#include "tools/python/python_pool.h"

namespace sluice {
namespace {

constexpr std::string_view kBytesKey = "$bytes";
constexpr int kMaxDepth = 512;

using Replace = Result<Value> (*)(const Value&, bool* replaced);

// A copy in which `replace` has had its say on every part.
Result<Value> transform(const Value& value, Replace replace, int depth) {
  if (depth > kMaxDepth) return fail(ErrorCode::kToolOutput, "a value is nested too deep");
  bool replaced = false;
  auto own = replace(value, &replaced);
  if (!own || replaced) return own;
  if (value.is_array()) {
    std::vector<Value> items;
    items.reserve(value.items().size());
    for (const Value& item : value.items()) {
      auto changed = transform(item, replace, depth + 1);
      if (!changed) return changed;
      items.push_back(std::move(*changed));
    }
    return Value::array(std::move(items));
  }
  if (value.is_object()) {
    std::vector<Value::Member> members;
    for (const auto& [name, member] : value.members()) {
      auto changed = transform(member, replace, depth + 1);
      if (!changed) return changed;
      members.emplace_back(name, std::move(*changed));
    }
    return Value::object(std::move(members));
  }
  return value;
}

Result<Value> mark(const Value& value, bool* replaced) {
  if (value.kind() != Value::Kind::kBlob) return value;
  auto bytes = value.blob_bytes();
  if (!bytes) return fail(ErrorCode::kToolFailed, "the bytes of a blob are not in memory");
  *replaced = true;
  return Value::object({{std::string(kBytesKey), Value::string(to_base64(*bytes))}});
}

Result<Value> restore(const Value& value, bool* replaced) {
  if (!value.is_object() || value.members().size() != 1) return value;
  const auto& [name, text] = value.members()[0];
  if (name != kBytesKey || !text.is_string()) return value;
  auto bytes = from_base64(text.as_string());
  if (!bytes) return std::unexpected(bytes.error());
  *replaced = true;
  return Value::blob(std::move(*bytes), "application/octet-stream");
}

}  // namespace

bool holds_blob(const Value& value) {
  std::vector<const Value*> open = {&value};
  while (!open.empty()) {
    const Value* next = open.back();
    open.pop_back();
    if (next->kind() == Value::Kind::kBlob) return true;
    if (next->is_array()) {
      for (const Value& item : next->items()) {
        if (item.is_array() || item.is_object() || item.kind() == Value::Kind::kBlob) {
          open.push_back(&item);
        }
      }
    } else if (next->is_object()) {
      for (const auto& [name, member] : next->members()) {
        if (member.is_array() || member.is_object() || member.kind() == Value::Kind::kBlob) {
          open.push_back(&member);
        }
      }
    }
  }
  return false;
}

Result<Value> mark_blobs(const Value& value) { return transform(value, mark, 0); }

Result<Value> restore_blobs(const Value& value) { return transform(value, restore, 0); }

}  // namespace sluice
