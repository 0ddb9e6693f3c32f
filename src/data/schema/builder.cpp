#include "data/schema/builder.h"

#include <fmt/format.h>

#include <cmath>

#include "data/schema/uri.h"

namespace sluice::json_schema {

std::string Builder::pointer(std::string_view keyword) const {
  return node_.pointer + "/" + escape_pointer_token(keyword);
}

void Builder::invalid(std::string_view keyword, std::string message) {
  callbacks_.report(pointer(keyword), ErrorCode::kSchemaInvalid, std::move(message));
}

void Builder::unsupported(std::string_view keyword, std::string message) {
  callbacks_.report(pointer(keyword), ErrorCode::kSchemaUnsupported, std::move(message));
}

std::optional<std::uint64_t> Builder::count(std::string_view keyword) {
  const Value* value = get(keyword);
  if (value == nullptr) return std::nullopt;
  if (value->is_int() && value->as_int() >= 0) return static_cast<std::uint64_t>(value->as_int());
  if (value->kind() == Value::Kind::kDouble) {
    double number = value->as_double();
    if (number >= 0 && number < 0x1p53 && number == std::trunc(number)) {
      return static_cast<std::uint64_t>(number);
    }
  }
  invalid(keyword, fmt::format("{} must be a whole number from 0 up, not {}", keyword,
                               kind_with_article(value->kind())));
  return std::nullopt;
}

std::optional<Value> Builder::number(std::string_view keyword) {
  const Value* value = get(keyword);
  if (value == nullptr) return std::nullopt;
  if (value->is_number()) return *value;
  invalid(keyword,
          fmt::format("{} must be a number, not {}", keyword, kind_with_article(value->kind())));
  return std::nullopt;
}

std::optional<bool> Builder::flag(std::string_view keyword) {
  const Value* value = get(keyword);
  if (value == nullptr) return std::nullopt;
  if (value->is_bool()) return value->as_bool();
  invalid(keyword, fmt::format("{} must be true or false, not {}", keyword,
                               kind_with_article(value->kind())));
  return std::nullopt;
}

std::optional<std::vector<std::string>> Builder::names(std::string_view keyword) {
  const Value* value = get(keyword);
  if (value == nullptr) return std::nullopt;
  return names_in(keyword, *value);
}

std::optional<std::vector<std::string>> Builder::names_in(std::string_view keyword,
                                                          const Value& list) {
  std::vector<std::string> names;
  bool good = list.is_array();
  if (good) {
    for (const auto& item : list.items()) {
      if (item.is_string()) {
        names.emplace_back(item.as_string());
      } else {
        good = false;
      }
    }
  }
  if (good) return names;
  invalid(keyword, fmt::format("{} must be an array of property names", keyword));
  return std::nullopt;
}

std::optional<Pattern> Builder::pattern(std::string_view keyword, std::string_view expression) {
  auto compiled = Pattern::compile(expression);
  if (compiled) return *compiled;
  callbacks_.report(pointer(keyword), compiled.error().code(),
                    fmt::format("{}: {}", keyword, compiled.error().message()));
  return std::nullopt;
}

std::optional<NodeIndex> Builder::subschema(std::string_view keyword) {
  const Value* value = get(keyword);
  if (value == nullptr) return std::nullopt;
  if (!value->is_array()) return callbacks_.node_for(value);
  invalid(keyword, keyword == "items"
                       ? std::string("items must be one schema; write prefixItems for a list")
                       : fmt::format("{} must be one schema, not an array", keyword));
  return std::nullopt;
}

std::optional<std::vector<NodeIndex>> Builder::subschema_list(std::string_view keyword) {
  const Value* value = get(keyword);
  if (value == nullptr) return std::nullopt;
  if (!value->is_array() || value->items().empty()) {
    invalid(keyword, fmt::format("{} must be an array of at least one schema", keyword));
    return std::nullopt;
  }
  std::vector<NodeIndex> nodes;
  for (const auto& item : value->items()) nodes.push_back(callbacks_.node_for(&item));
  return nodes;
}

std::optional<std::vector<std::pair<std::string, NodeIndex>>> Builder::subschema_map(
    std::string_view keyword) {
  const Value* value = get(keyword);
  if (value == nullptr) return std::nullopt;
  if (!value->is_object()) {
    invalid(keyword, fmt::format("{} must be an object of schemas, not {}", keyword,
                                 kind_with_article(value->kind())));
    return std::nullopt;
  }
  std::vector<std::pair<std::string, NodeIndex>> nodes;
  for (const auto& [name, schema] : value->members()) {
    nodes.emplace_back(name, callbacks_.node_for(&schema));
  }
  return nodes;
}

std::optional<NodeIndex> Builder::refer(const std::string& reference) {
  return callbacks_.refer(&schema_, reference);
}

}  // namespace sluice::json_schema
