#include "data/schema/keyword_table.h"

#include <algorithm>

#include "data/schema.h"

namespace sluice::json_schema {
namespace {

// In the order of the specification: core, applicators, assertions, annotations.
constexpr KeywordRow kTable[] = {
    {"$schema"},
    {"$id"},
    {"$anchor"},
    {"$ref"},
    {"$defs", Holds::kSchemaMap},
    {"definitions", Holds::kSchemaMap},
    {"$comment"},
    {"allOf", Holds::kSchemaList},
    {"anyOf", Holds::kSchemaList},
    {"oneOf", Holds::kSchemaList},
    {"not", Holds::kSchema},
    {"if", Holds::kSchema},
    {"then", Holds::kSchema},
    {"else", Holds::kSchema},
    {"dependentSchemas", Holds::kSchemaMap},
    {"prefixItems", Holds::kSchemaList},
    {"items", Holds::kSchema},
    {"contains", Holds::kSchema},
    {"properties", Holds::kSchemaMap},
    {"patternProperties", Holds::kSchemaMap},
    {"additionalProperties", Holds::kSchema},
    {"propertyNames", Holds::kSchema},
    {"type"},
    {"enum"},
    {"const"},
    {"multipleOf"},
    {"maximum"},
    {"exclusiveMaximum"},
    {"minimum"},
    {"exclusiveMinimum"},
    {"maxLength"},
    {"minLength"},
    {"pattern"},
    {"maxItems"},
    {"minItems"},
    {"uniqueItems"},
    {"maxContains"},
    {"minContains"},
    {"maxProperties"},
    {"minProperties"},
    {"required"},
    {"dependentRequired"},
    {"title"},
    {"description"},
    {"default"},
    {"deprecated"},
    {"readOnly"},
    {"writeOnly"},
    {"examples"},
    {"format"},
};

}  // namespace

std::span<const KeywordRow> keyword_table() { return kTable; }

const KeywordRow* find_keyword(std::string_view name) {
  const auto* row = std::ranges::find(kTable, name, &KeywordRow::name);
  return row == std::end(kTable) ? nullptr : row;
}

}  // namespace sluice::json_schema

namespace sluice {

std::span<const std::string_view> schema_keywords() {
  static const std::vector<std::string_view> names = [] {
    std::vector<std::string_view> list;
    for (const auto& row : json_schema::keyword_table()) list.push_back(row.name);
    return list;
  }();
  return names;
}

}  // namespace sluice
