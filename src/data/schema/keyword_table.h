// The one table of keywords that the schema compiler declares. Adding one: a row here, and its
// meaning in the keywords_*.cpp of its group.
#pragma once

#include <span>
#include <string_view>

namespace sluice::json_schema {

// Where a keyword's value holds schemas.
enum class Holds { kNoSchema, kSchema, kSchemaList, kSchemaMap };

struct KeywordRow {
  std::string_view name;
  Holds holds = Holds::kNoSchema;
};

std::span<const KeywordRow> keyword_table();
const KeywordRow* find_keyword(std::string_view name);  // nullptr: not declared

}  // namespace sluice::json_schema
