// Cells as the one who asked for them wants them: text of CSV becomes a number, a boolean or JSON
// where its schema takes no text, an empty or missing cell its default. Pure; immutable; any
// thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "data/schema.h"
#include "data/value.h"

namespace sluice {

struct TableColumn {
  std::string name;
  SchemaPtr schema;
  std::optional<Value> otherwise;  // the schema's `default`
};

// From {name: schema}. kSettingInvalid.
Result<std::vector<TableColumn>> table_columns_of(const Value& schemas);

// `text`: cells are text whatever they mean. What does not fit stays as it is: whoever takes it
// says what it should be. nullopt: it is missing, and nothing stands for it.
std::optional<Value> read_cell(const TableColumn& column, const Value* raw, bool text);

// The named columns of a row; all of them as they are where there are no columns.
Value read_row(const std::vector<TableColumn>& columns, const Value& row, bool text);

}  // namespace sluice
