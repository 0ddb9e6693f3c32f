// properties, patternProperties, additionalProperties, propertyNames, required, maxProperties,
// minProperties, dependentRequired, dependentSchemas.
#include <fmt/format.h>

#include <algorithm>

#include "data/schema/builder.h"
#include "data/schema/evaluation.h"
#include "data/schema/uri.h"

namespace sluice::json_schema {
namespace {

using NamedNodes = std::vector<std::pair<std::string, NodeIndex>>;

class RequiredKeyword final : public Keyword {
 public:
  RequiredKeyword(std::string pointer, std::vector<std::string> names)
      : Keyword(std::move(pointer)), names_(std::move(names)) {}

  bool check(const Value& value, Evaluation& evaluation) const override {
    if (!value.is_object()) return true;
    std::string missing;
    for (const auto& name : names_) {
      if (value.find(name) != nullptr) continue;
      if (!evaluation.collecting()) return false;
      missing += (missing.empty() ? "" : ", ") + name;
    }
    if (missing.empty()) return true;
    return evaluation.refuse(pointer(), [&] { return "must have the property " + missing; });
  }
  Type type(TypeBuilder&) const override {
    return only_for(Type::kObject, Type::object_of({}, {names_.begin(), names_.end()}, false));
  }

 private:
  std::vector<std::string> names_;
};

class PropertiesKeyword final : public Keyword {
 public:
  struct Parts {
    NamedNodes properties;
    std::vector<std::pair<Pattern, NodeIndex>> patterns;
    std::optional<NodeIndex> additional;
    bool closed = false;  // additional is the schema `false`
    std::string additional_pointer;
  };
  PropertiesKeyword(std::string pointer, Parts parts)
      : Keyword(std::move(pointer)), parts_(std::move(parts)) {
    std::ranges::sort(parts_.properties);
  }

  bool check(const Value& value, Evaluation& evaluation) const override {
    if (!value.is_object()) return true;
    bool valid = true;
    for (const auto& [name, member] : value.members()) {
      if (check_one(name, member, evaluation)) continue;
      valid = false;
      if (evaluation.finished()) break;
    }
    return valid;
  }
  std::vector<NodeIndex> inside() const override {
    std::vector<NodeIndex> nodes;
    for (const auto& [name, node] : parts_.properties) nodes.push_back(node);
    for (const auto& [pattern, node] : parts_.patterns) nodes.push_back(node);
    if (parts_.additional) nodes.push_back(*parts_.additional);
    return nodes;
  }
  Type type(TypeBuilder& types) const override {
    std::map<std::string, Type, std::less<>> properties;
    for (const auto& [name, node] : parts_.properties) {
      properties.emplace(name, types.of_inside(node));
    }
    bool closed = parts_.closed && parts_.patterns.empty();
    return only_for(Type::kObject, Type::object_of(std::move(properties), {}, closed));
  }

 private:
  bool check_one(const std::string& name, const Value& member, Evaluation& evaluation) const {
    bool valid = true;
    bool known = false;
    auto found = std::ranges::lower_bound(parts_.properties, name, {},
                                          &std::pair<std::string, NodeIndex>::first);
    if (found != parts_.properties.end() && found->first == name) {
      known = true;
      valid = evaluation.check_member(found->second, member, name);
    }
    for (const auto& [pattern, node] : parts_.patterns) {
      if (!valid && evaluation.finished()) return false;
      if (!pattern.matches(name)) continue;
      known = true;
      if (!evaluation.check_member(node, member, name)) valid = false;
    }
    if (known || !parts_.additional) return valid;
    if (!parts_.closed) return evaluation.check_member(*parts_.additional, member, name);
    return evaluation.refuse(parts_.additional_pointer, [&] { return refusal(name); });
  }
  std::string refusal(const std::string& name) const {
    std::string text = fmt::format("may not have the property {}", name);
    if (parts_.properties.empty()) return text;
    text += "; there are ";
    constexpr std::size_t kShown = 8;
    for (std::size_t i = 0; i < parts_.properties.size() && i < kShown; ++i) {
      text += (i > 0 ? ", " : "") + parts_.properties[i].first;
    }
    return parts_.properties.size() > kShown ? text + ", ..." : text;
  }

  Parts parts_;
};

class PropertyNamesKeyword final : public Keyword {
 public:
  PropertyNamesKeyword(std::string pointer, NodeIndex node)
      : Keyword(std::move(pointer)), node_(node) {}

  bool check(const Value& value, Evaluation& evaluation) const override {
    if (!value.is_object()) return true;
    bool valid = true;
    for (const auto& member : value.members()) {
      if (evaluation.check_name(node_, member.first)) continue;
      valid = evaluation.refuse(pointer(), [&] {
        return fmt::format("has a property whose name is not allowed: {}", member.first);
      });
      if (evaluation.finished()) break;
    }
    return valid;
  }
  std::vector<NodeIndex> inside() const override { return {node_}; }

 private:
  NodeIndex node_;
};

class DependentRequiredKeyword final : public Keyword {
 public:
  using Rows = std::vector<std::pair<std::string, std::vector<std::string>>>;
  DependentRequiredKeyword(std::string pointer, Rows rows)
      : Keyword(std::move(pointer)), rows_(std::move(rows)) {}

  bool check(const Value& value, Evaluation& evaluation) const override {
    if (!value.is_object()) return true;
    bool valid = true;
    for (const auto& [name, needed] : rows_) {
      if (value.find(name) == nullptr) continue;
      for (const auto& other : needed) {
        if (value.find(other) != nullptr) continue;
        valid = evaluation.refuse(pointer(), [&] {
          return fmt::format("must have the property {}, since it has {}", other, name);
        });
        if (evaluation.finished()) return false;
      }
    }
    return valid;
  }

 private:
  Rows rows_;
};

class DependentSchemasKeyword final : public Keyword {
 public:
  DependentSchemasKeyword(std::string pointer, NamedNodes nodes)
      : Keyword(std::move(pointer)), nodes_(std::move(nodes)) {}

  bool check(const Value& value, Evaluation& evaluation) const override {
    if (!value.is_object()) return true;
    bool valid = true;
    for (const auto& [name, node] : nodes_) {
      if (value.find(name) == nullptr || evaluation.check(node, value)) continue;
      valid = false;
      if (evaluation.finished()) break;
    }
    return valid;
  }
  std::vector<NodeIndex> in_place() const override {
    std::vector<NodeIndex> nodes;
    for (const auto& [name, node] : nodes_) nodes.push_back(node);
    return nodes;
  }

 private:
  NamedNodes nodes_;
};

void build_properties(Builder& builder) {
  PropertiesKeyword::Parts parts;
  auto properties = builder.subschema_map("properties");
  auto patterns = builder.subschema_map("patternProperties");
  parts.additional = builder.subschema("additionalProperties");
  if (!properties && !patterns && !parts.additional) return;
  if (properties) parts.properties = std::move(*properties);
  if (patterns) {
    for (const auto& [expression, node] : *patterns) {
      if (auto pattern = builder.pattern("patternProperties", expression)) {
        parts.patterns.emplace_back(std::move(*pattern), node);
      }
    }
  }
  const Value* additional = builder.get("additionalProperties");
  parts.closed = additional != nullptr && additional->is_bool() && !additional->as_bool();
  parts.additional_pointer = builder.pointer("additionalProperties");
  builder.add<PropertiesKeyword>("properties", std::move(parts));
}

void build_dependent_required(Builder& builder) {
  const Value* value = builder.get("dependentRequired");
  if (value == nullptr) return;
  if (!value->is_object()) {
    return builder.invalid("dependentRequired",
                           "dependentRequired must be an object of arrays of property names");
  }
  DependentRequiredKeyword::Rows rows;
  for (const auto& [name, list] : value->members()) {
    if (auto names = builder.names_in("dependentRequired", list)) {
      rows.emplace_back(name, std::move(*names));
    }
  }
  builder.add<DependentRequiredKeyword>("dependentRequired", std::move(rows));
}

}  // namespace

void build_object_keywords(Builder& builder) {
  if (auto names = builder.names("required")) {
    builder.add<RequiredKeyword>("required", std::move(*names));
  }
  build_size_keywords(
      builder, {"maxProperties", "minProperties", Value::Kind::kObject, "property", "properties"});
  build_properties(builder);
  if (auto node = builder.subschema("propertyNames")) {
    builder.add<PropertyNamesKeyword>("propertyNames", *node);
  }
  build_dependent_required(builder);
  if (auto nodes = builder.subschema_map("dependentSchemas")) {
    builder.add<DependentSchemasKeyword>("dependentSchemas", std::move(*nodes));
  }
}

}  // namespace sluice::json_schema
