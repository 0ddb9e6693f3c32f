#include "optimize/fits_schema.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <vector>

#include "data/json.h"

namespace sluice {
namespace {

// Says nothing of which values fit.
bool is_remark(std::string_view keyword) {
  constexpr std::array<std::string_view, 9> kRemarks = {
      "default", "description", "title",   "examples",   "$comment",
      "$schema", "$id",         "$anchor", "deprecated",
  };
  return std::ranges::find(kRemarks, keyword) != kRemarks.end();
}

std::optional<std::uint16_t> kinds_of(std::string_view name) {
  if (name == "null") return Type::kNull;
  if (name == "boolean") return Type::kBoolean;
  if (name == "integer") return Type::kInteger;
  if (name == "number") return Type::kNumber;
  if (name == "string") return Type::kString;
  if (name == "array") return Type::kArray;
  if (name == "object") return Type::kObject;
  return std::nullopt;
}

std::optional<std::uint16_t> kinds_of(const Value& types) {
  if (types.is_string()) return kinds_of(types.as_string());
  if (!types.is_array()) return std::nullopt;
  std::uint16_t all = 0;
  for (const Value& each : types.items()) {
    const auto kinds = each.is_string() ? kinds_of(each.as_string()) : std::nullopt;
    if (!kinds) return std::nullopt;
    all = static_cast<std::uint16_t>(all | *kinds);
  }
  return all;
}

bool fits(const Type& type, const Value& schema);

bool fits_keyword(const Type& type, std::string_view keyword, const Value& says) {
  if (is_remark(keyword)) return true;
  if (keyword == "type") {
    const auto kinds = kinds_of(says);
    return kinds && (type.kinds() & ~*kinds) == 0;
  }
  if (keyword == "items") return !type.can_be(Type::kArray) || fits(type.element(), says);
  if (keyword == "required") {
    if (!type.can_be(Type::kObject)) return true;
    return says.is_array() && std::ranges::all_of(says.items(), [&](const Value& name) {
             return name.is_string() && type.requires_property(name.as_string());
           });
  }
  if (keyword == "properties") {
    if (!type.can_be(Type::kObject)) return true;
    return says.is_object() && std::ranges::all_of(says.members(), [&](const auto& property) {
             const auto is = type.property(property.first);
             return !is || fits(*is, property.second);
           });
  }
  return false;
}

bool fits(const Type& type, const Value& schema) {
  if (schema.is_bool()) return schema.as_bool() || type.kinds() == 0;
  return schema.is_object() && std::ranges::all_of(schema.members(), [&](const auto& member) {
           return fits_keyword(type, member.first, member.second);
         });
}

Value without_remarks(const Value& schema) {
  if (!schema.is_object()) return schema;
  std::vector<Value::Member> members;
  for (const auto& member : schema.members()) {
    if (!is_remark(member.first)) members.push_back(member);
  }
  return Value::object(std::move(members));
}

}  // namespace

bool certainly_fits(const Type& type, const Schema& schema) { return fits(type, schema.source()); }

bool same_demands(const Schema& left, const Schema& right) {
  return canonical_json(without_remarks(left.source())) ==
         canonical_json(without_remarks(right.source()));
}

}  // namespace sluice
