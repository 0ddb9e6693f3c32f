// sort, unique, groupby, min, max, dictsort. As in Jinja, strings are compared without regard to
// case unless case_sensitive is true.
#include <algorithm>
#include <bit>
#include <functional>
#include <unordered_map>

#include "data/expr/filters.h"
#include "data/expr/text.h"
#include "fmt/format.h"

namespace sluice::expr {
namespace {

// Never differs for equal values; counted by the caller.
std::uint64_t hash_of(const Value& value, std::uint32_t depth) {
  std::uint64_t hash =
      static_cast<std::uint64_t>(value.is_number() ? 100 : static_cast<int>(value.kind()));
  auto mix = [&](std::uint64_t more) {
    hash = (hash ^ more) * 0x9E3779B97F4A7C15ULL + (hash >> 29);
  };
  switch (value.kind()) {
    case Value::Kind::kBool:
      mix(value.as_bool());
      break;
    case Value::Kind::kInt:
    case Value::Kind::kBigInt:
    case Value::Kind::kDouble: {
      double number = value.as_double();
      mix(std::bit_cast<std::uint64_t>(number == 0 ? 0.0 : number));
      break;
    }
    case Value::Kind::kString:
      mix(std::hash<std::string_view>()(value.as_string()));
      break;
    case Value::Kind::kArray:
      mix(value.items().size());
      if (depth > 3) break;
      for (const Value& item : value.items().first(std::min<std::size_t>(value.size(), 64))) {
        mix(hash_of(item, depth + 1));
      }
      break;
    case Value::Kind::kObject: {
      mix(value.members().size());
      if (depth > 3 || value.members().size() > 64) break;
      std::uint64_t sum = 0;  // members have no order
      for (const auto& [name, member] : value.members()) {
        sum += std::hash<std::string_view>()(name) ^ (hash_of(member, depth + 1) * 31);
      }
      mix(sum);
      break;
    }
    default:
      break;
  }
  return hash;
}

// Which of the keys seen so far equals this one; adds it when none does.
class KeyIndex {
 public:
  bool find(CallFrame& call, const Value& key, std::size_t& which, bool& known) {
    known = false;
    if (!call.run.step(16)) return false;
    auto [begin, end] = slots_.equal_range(hash_of(key, 0));
    for (auto slot = begin; slot != end && !known; ++slot) {
      which = slot->second;
      if (!call.run.equal(call.node, keys_[which], key, known)) return false;
    }
    if (known) return true;
    which = keys_.size();
    keys_.push_back(key);
    slots_.emplace(hash_of(key, 0), which);
    return call.run.grow(64);
  }

 private:
  std::vector<Value> keys_;
  std::unordered_multimap<std::uint64_t, std::size_t> slots_;
};

struct Keyed {
  std::vector<Value> keys;
  std::size_t at;
};

bool keyed_order(CallFrame& call, const Keyed& a, const Keyed& b, int& sign) {
  sign = 0;
  for (std::size_t i = 0; sign == 0 && i < a.keys.size(); ++i) {
    if (!call.run.order(call.node, a.keys[i], b.keys[i], sign)) return false;
  }
  return true;
}

// A stable merge sort: unlike the library's it can stop at the first two that have no order.
bool sort_keyed(CallFrame& call, std::vector<Keyed>& items, bool reverse) {
  if (!call.run.step(items.size()) || !call.run.grow(items.size() * sizeof(Keyed))) return false;
  std::vector<Keyed> merged(items.size());
  for (std::size_t width = 1; width < items.size(); width *= 2) {
    for (std::size_t begin = 0; begin < items.size(); begin += 2 * width) {
      std::size_t left = begin;
      std::size_t middle = std::min(begin + width, items.size());
      std::size_t right = middle;
      std::size_t end = std::min(begin + 2 * width, items.size());
      for (std::size_t to = begin; to < end; ++to) {
        int sign = right == end ? -1 : 1;
        if (left < middle && right < end) {
          if (!keyed_order(call, items[left], items[right], sign)) return false;
          if (reverse) sign = -sign;
        } else if (left < middle) {
          sign = -1;
        }
        merged[to] = std::move(sign <= 0 ? items[left++] : items[right++]);
      }
    }
    items.swap(merged);
  }
  return true;
}

std::vector<std::string_view> paths_of(std::string_view attributes) {
  std::vector<std::string_view> paths;
  for (;;) {
    std::size_t comma = attributes.find(',');
    paths.push_back(attributes.substr(0, comma));
    if (comma == std::string_view::npos) return paths;
    attributes = attributes.substr(comma + 1);
  }
}

bool extreme(CallFrame& call, int wanted, Value& out) {
  Value best_key;
  const Value* best = nullptr;
  for (const Value& item : call.subject->items()) {
    Value key;
    int sign = 0;
    if (!sort_key(call, item, call.text(1, ""), call.flag(0), key)) return false;
    if (best != nullptr && !call.run.order(call.node, key, best_key, sign)) return false;
    if (best == nullptr || sign == wanted) {
      best = &item;
      best_key = std::move(key);
    }
  }
  if (best == nullptr) {
    return call.undefined("an empty list has no such item; add | default(...)");
  }
  out = Value(*best);
  return true;
}

}  // namespace

bool sort_key(CallFrame& call, const Value& item, std::string_view attribute, bool case_sensitive,
              Value& out) {
  Value scratch;
  const Value* value = &item;
  if (!attribute.empty()) {
    value = call.run.attribute(call.node, item, attribute, scratch, false);
    if (value == nullptr) return false;
  }
  if (!value->is_string() || case_sensitive) {
    out = Value(*value);
    return call.run.step();
  }
  return call.run.scan(value->as_string().size() * 8) &&
         call.run.make_string(lower(value->as_string()), out);
}

bool filter_sort(CallFrame& call, Value& out) {
  auto items = call.subject->items();
  std::vector<std::string_view> paths = paths_of(call.text(2, ""));
  if (!call.run.grow(items.size() * (sizeof(Keyed) + paths.size() * sizeof(Value)))) return false;
  std::vector<Keyed> keyed(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    keyed[i].at = i;
    keyed[i].keys.resize(paths.size());
    for (std::size_t k = 0; k < paths.size(); ++k) {
      if (!sort_key(call, items[i], paths[k], call.flag(1), keyed[i].keys[k])) return false;
    }
  }
  if (!sort_keyed(call, keyed, call.flag(0))) return false;
  std::vector<Value> sorted;
  sorted.reserve(items.size());
  for (const Keyed& item : keyed) sorted.push_back(items[item.at]);
  out = Value::array(std::move(sorted));
  return true;
}

bool filter_unique(CallFrame& call, Value& out) {
  KeyIndex seen;
  std::vector<Value> kept;
  for (const Value& item : call.subject->items()) {
    Value key;
    std::size_t which = 0;
    bool known = false;
    if (!sort_key(call, item, call.text(1, ""), call.flag(0), key)) return false;
    if (!seen.find(call, key, which, known)) return false;
    if (!known) kept.push_back(item);
  }
  if (!call.run.grow(kept.size() * sizeof(Value))) return false;
  out = Value::array(std::move(kept));
  return true;
}

// -> [{key, items}], sorted by key.
bool filter_groupby(CallFrame& call, Value& out) {
  struct Group {
    Value key;
    std::vector<Value> items;
  };
  std::vector<Group> groups;
  std::vector<Keyed> order;
  KeyIndex seen;
  bool case_sensitive = call.flag(2);
  for (const Value& item : call.subject->items()) {
    Value scratch;
    const Value* key =
        call.run.attribute(call.node, item, call.text(0, ""), scratch, call.args[1] != nullptr);
    if (key == nullptr && !call.run.take_missing()) return false;
    if (key == nullptr) key = call.args[1];
    Value compared;
    std::size_t which = 0;
    bool known = false;
    if (!sort_key(call, *key, "", case_sensitive, compared)) return false;
    if (!seen.find(call, compared, which, known)) return false;
    if (!known) {
      groups.push_back({Value(*key), {}});
      order.push_back({{std::move(compared)}, which});
    }
    groups[which].items.push_back(item);
  }
  if (!sort_keyed(call, order, false)) return false;
  if (!call.run.grow(call.subject->size() * sizeof(Value) + groups.size() * 256)) return false;
  std::vector<Value> result;
  result.reserve(order.size());
  for (const Keyed& group : order) {
    result.push_back(Value::object({{"key", std::move(groups[group.at].key)},
                                    {"items", Value::array(std::move(groups[group.at].items))}}));
  }
  out = Value::array(std::move(result));
  return true;
}

bool filter_min(CallFrame& call, Value& out) { return extreme(call, -1, out); }
bool filter_max(CallFrame& call, Value& out) { return extreme(call, 1, out); }

// -> [[key, value], ...]
bool filter_dictsort(CallFrame& call, Value& out) {
  auto members = call.subject->members();
  std::string_view by = call.text(1, "key");
  if (by != "key" && by != "value") {
    return call.fail(ErrorCode::kExprType, "dictsort sorts by \"key\" or \"value\"");
  }
  if (!call.run.grow(members.size() * 256)) return false;
  std::vector<Keyed> keyed(members.size());
  for (std::size_t i = 0; i < members.size(); ++i) {
    keyed[i].at = i;
    keyed[i].keys.resize(1);
    Value item = by == "key" ? Value::string(members[i].first) : members[i].second;
    if (!sort_key(call, item, "", call.flag(0), keyed[i].keys[0])) return false;
  }
  if (!sort_keyed(call, keyed, call.flag(2))) return false;
  std::vector<Value> pairs;
  for (const Keyed& one : keyed) {
    const auto& [name, value] = members[one.at];
    pairs.push_back(Value::array({Value::string(name), value}));
  }
  out = Value::array(std::move(pairs));
  return true;
}

}  // namespace sluice::expr
