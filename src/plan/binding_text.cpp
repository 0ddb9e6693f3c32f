#include "plan/binding_text.h"

namespace sluice {

Value binding_text(const Binding& binding) {
  switch (binding.kind) {
    case Binding::Kind::kExpr: {
      if (auto constant = binding.expr.as_constant()) return *constant;
      return Value::object({{"$expr", Value::string(binding.expr.to_string())}});
    }
    case Binding::Kind::kList: {
      std::vector<Value> items;
      items.reserve(binding.items.size());
      for (const Binding& item : binding.items) items.push_back(binding_text(item));
      return Value::array(std::move(items));
    }
    case Binding::Kind::kMap: {
      std::vector<Value::Member> members;
      members.reserve(binding.members.size());
      for (const auto& [key, member] : binding.members) {
        members.emplace_back(key, binding_text(member));
      }
      return Value::object(std::move(members));
    }
  }
  return {};
}

}  // namespace sluice
