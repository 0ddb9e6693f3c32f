// Objects: items, keys, values, merge.
#include "data/expr/filters.h"

namespace sluice::expr {
namespace {

template <class Make>
bool each_member(CallFrame& call, Value& out, Make make) {
  auto members = call.subject->members();
  std::vector<Value> items;
  if (!call.run.step(members.size()) || !call.run.grow(members.size() * sizeof(Value)))
    return false;
  items.reserve(members.size());
  for (const auto& member : members) {
    if (!call.run.grow(member.first.size() + 64)) return false;
    items.push_back(make(member));
  }
  out = Value::array(std::move(items));
  return true;
}

}  // namespace

bool filter_items(CallFrame& call, Value& out) {
  return each_member(call, out, [](const Value::Member& member) {
    return Value::array({Value::string(member.first), member.second});
  });
}

bool filter_keys(CallFrame& call, Value& out) {
  return each_member(call, out,
                     [](const Value::Member& member) { return Value::string(member.first); });
}

bool filter_values(CallFrame& call, Value& out) {
  return each_member(call, out, [](const Value::Member& member) { return member.second; });
}

// The members of both; the argument's win.
bool filter_merge(CallFrame& call, Value& out) {
  auto left = call.subject->members();
  auto right = call.args[0]->members();
  std::size_t count = left.size() + right.size();
  if (!call.run.step(count) || !call.run.grow(count * sizeof(Value::Member))) return false;
  std::vector<Value::Member> members;
  members.reserve(count);
  for (auto side : {left, right}) {
    for (const auto& member : side) {
      if (!call.run.grow(member.first.size())) return false;
      members.push_back(member);
    }
  }
  out = Value::object(std::move(members));
  return true;
}

}  // namespace sluice::expr
