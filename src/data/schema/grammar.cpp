// Follows how XGrammar reads a schema object: it takes the first of $ref, const, enum, anyOf,
// oneOf, allOf and type, and of the keywords beside it only those that belong to that one. Where
// in doubt a keyword is listed: then the output is checked once more, which costs little.
#include "data/schema/grammar.h"

#include <algorithm>
#include <array>

#include "data/schema/keyword_table.h"
#include "data/schema/uri.h"

namespace sluice::json_schema {
namespace {

constexpr std::array<std::string_view, 16> kAnnotations = {
    "$schema",  "$id",       "$anchor",     "$defs",   "definitions", "$comment",
    "title",    "format",    "description", "default", "examples",    "deprecated",
    "readOnly", "writeOnly", "then",        "else"};  // then and else come with their if
constexpr std::array<std::string_view, 13> kNever = {"not",
                                                     "if",
                                                     "dependentRequired",
                                                     "dependentSchemas",
                                                     "uniqueItems",
                                                     "contains",
                                                     "minContains",
                                                     "maxContains",
                                                     "multipleOf",
                                                     "minProperties",
                                                     "maxProperties",
                                                     "propertyNames",
                                                     "patternProperties"};
constexpr std::array<std::string_view, 6> kChoices = {"$ref",  "const", "enum",
                                                      "anyOf", "oneOf", "allOf"};

template <class List>
bool in(const List& list, std::string_view name) {
  return std::ranges::find(list, name) != list.end();
}

bool has_type(const Value& schema, std::string_view name) {
  const Value* type = schema.find("type");
  if (type == nullptr) return false;
  if (type->is_string()) return type->as_string() == name;
  if (!type->is_array()) return false;
  return std::ranges::any_of(type->items(), [&](const Value& item) {
    return item.is_string() && item.as_string() == name;
  });
}

// A word boundary or a character property: the grammar's own regular expressions lack them.
bool plain_pattern(const Value& pattern) {
  if (!pattern.is_string()) return false;
  std::string_view text = pattern.as_string();
  for (std::string_view special : {"\\b", "\\B", "\\p", "\\P", "\\c"}) {
    if (text.find(special) != std::string_view::npos) return false;
  }
  return true;
}

bool trusted_bound(const Value& schema, const Value& bound) {
  return has_type(schema, "integer") && !has_type(schema, "number") && bound.is_int();
}

// Under `type` alone, or without one: whether the keyword is enforced.
bool enforced_plainly(const Value& schema, std::string_view name, const Value& value) {
  if (name == "type") return true;
  if (name == "maximum" || name == "minimum" || name == "exclusiveMaximum" ||
      name == "exclusiveMinimum") {
    return trusted_bound(schema, value);
  }
  if (name == "pattern") return has_type(schema, "string") && plain_pattern(value);
  if (name == "maxLength" || name == "minLength") {
    return has_type(schema, "string") && value.is_int() && schema.find("pattern") == nullptr &&
           schema.find("format") == nullptr;
  }
  if (name == "maxItems" || name == "minItems") return has_type(schema, "array") && value.is_int();
  if (name == "items" || name == "prefixItems") {
    bool object_first = schema.find("properties") || schema.find("additionalProperties");
    return has_type(schema, "array") || (!schema.find("type") && !object_first);
  }
  if (name == "properties" || name == "additionalProperties") {
    return has_type(schema, "object") || !schema.find("type");
  }
  if (name == "required") return has_type(schema, "object") || schema.find("properties");
  return false;
}

bool enforced_choice(std::string_view name, const Value& value, bool root_base) {
  if (name == "$ref") {
    std::string_view uri = value.is_string() ? value.as_string() : "";
    return root_base && (uri == "#" || uri.starts_with("#/")) &&
           uri.find('%') == std::string_view::npos;
  }
  if (name == "oneOf" || name == "allOf") return value.is_array() && value.items().size() == 1;
  return true;
}

}  // namespace

void collect_not_in_grammar(const Value& schema, const std::string& pointer, bool root_base,
                            std::vector<std::string>& out) {
  if (!schema.is_object()) return;
  std::string_view choice;
  for (std::string_view name : kChoices) {
    if (choice.empty() && schema.find(name)) choice = name;
  }
  for (const auto& [name, value] : schema.members()) {
    bool enforced = true;
    if (in(kNever, name)) {
      enforced = false;
    } else if (in(kAnnotations, name) || find_keyword(name) == nullptr) {
      continue;
    } else if (!choice.empty()) {
      bool repeated = name == "type" && (choice == "const" || choice == "enum");
      enforced = repeated || (name == choice && enforced_choice(name, value, root_base));
    } else {
      enforced = enforced_plainly(schema, name, value);
    }
    if (!enforced) out.push_back(pointer + "/" + escape_pointer_token(name));
  }
}

}  // namespace sluice::json_schema
