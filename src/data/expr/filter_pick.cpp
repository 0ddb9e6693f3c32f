// map, select, reject, selectattr, rejectattr: they apply another filter or test to each item.
#include "data/expr/filters.h"

namespace sluice::expr {
namespace {

bool map_attribute(CallFrame& call, std::vector<Value>& out) {
  for (const Value& item : call.subject->items()) {
    Value scratch;
    const Value* value =
        call.run.attribute(call.node, item, call.text(0, ""), scratch, call.args[1] != nullptr);
    if (value == nullptr && !call.run.take_missing()) return false;
    out.push_back(value != nullptr ? Value(*value) : Value(*call.args[1]));
  }
  return true;
}

bool pick(CallFrame& call, bool with_attribute, bool wanted, Value& out) {
  bool tests = call.call.inner != kNoCall;
  Evaluation::Arguments arguments;
  if (tests && !call.run.arguments(call.run.inner(call.call), arguments)) return false;
  std::vector<Value> kept;
  for (const Value& item : call.subject->items()) {
    if (!call.run.step()) return false;
    Value scratch;
    const Value* value = &item;
    if (with_attribute) {
      bool soft = tests && call.run.inner(call.call).test->soft;
      value = call.run.attribute(call.node, item, call.text(0, ""), scratch, soft);
      if (value == nullptr && !(soft && call.run.take_missing())) return false;
    }
    bool holds = !tests && truthy(*value);
    if (tests &&
        !call.run.apply_test(call.node, call.run.inner(call.call), value, arguments, holds)) {
      return false;
    }
    if (holds == wanted) kept.push_back(item);
  }
  if (!call.run.grow(kept.size() * sizeof(Value))) return false;
  out = Value::array(std::move(kept));
  return true;
}

}  // namespace

bool filter_map(CallFrame& call, Value& out) {
  auto items = call.subject->items();
  if (!call.run.grow(items.size() * sizeof(Value))) return false;
  std::vector<Value> mapped;
  mapped.reserve(items.size());
  if (call.call.inner == kNoCall) {
    if (call.args[0] == nullptr) {
      return call.fail(ErrorCode::kExprType,
                       "map needs attribute=\"name\" or the name of a filter");
    }
    if (!map_attribute(call, mapped)) return false;
    out = Value::array(std::move(mapped));
    return true;
  }
  const Call& inner = call.run.inner(call.call);
  Evaluation::Arguments arguments;
  if (!call.run.arguments(inner, arguments)) return false;
  for (const Value& item : items) {
    if (!call.run.step()) return false;
    Value& result = mapped.emplace_back();
    if (!call.run.apply_filter(call.node, inner, &item, arguments, false, result)) return false;
  }
  out = Value::array(std::move(mapped));
  return true;
}

bool filter_select(CallFrame& call, Value& out) { return pick(call, false, true, out); }
bool filter_reject(CallFrame& call, Value& out) { return pick(call, false, false, out); }
bool filter_selectattr(CallFrame& call, Value& out) { return pick(call, true, true, out); }
bool filter_rejectattr(CallFrame& call, Value& out) { return pick(call, true, false, out); }

}  // namespace sluice::expr
