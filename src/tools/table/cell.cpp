#include "tools/table/cell.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "data/json.h"

namespace sluice {
namespace {

std::string_view trimmed(std::string_view text) {
  const std::size_t from = text.find_first_not_of(" \t\r\n");
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(" \t\r\n") - from + 1);
}

// "True" and "FALSE" as spreadsheets write them.
std::optional<Value> boolean_of(std::string_view text) {
  std::string word(text);
  for (char& c : word) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (word == "true") return Value::boolean(true);
  if (word == "false") return Value::boolean(false);
  return std::nullopt;
}

Value parsed_cell(const Type& type, const Value& raw) {
  const std::string_view text = trimmed(raw.as_string());
  if (type.can_be(Type::kBoolean)) {
    if (auto word = boolean_of(text)) return *word;
  }
  auto value = parse_json(text);
  return value ? *value : raw;
}

// A cell with nothing in it.
std::optional<Value> empty_cell(const TableColumn& column, const Type& type, const Value* raw) {
  if (raw != nullptr && raw->is_null() && !type.is_any() && type.can_be(Type::kNull)) return *raw;
  if (column.otherwise) return *column.otherwise;
  if (raw == nullptr) return std::nullopt;
  if (raw->is_string() && type.can_be(Type::kString)) return *raw;
  return Value();
}

}  // namespace

Result<std::vector<TableColumn>> table_columns_of(const Value& schemas) {
  std::vector<TableColumn> columns;
  if (!schemas.is_object()) return columns;
  for (const auto& [name, source] : schemas.members()) {
    SchemaCompilation compiled = Schema::compile(source);
    if (!compiled.schema) {
      const std::string why =
          compiled.problems.empty() ? "" : ": " + compiled.problems.front().message;
      return fail(ErrorCode::kSettingInvalid,
                  fmt::format("the schema of the column {} is none{}", name, why));
    }
    const Value* otherwise = source.find("default");
    columns.push_back(
        {name, compiled.schema, otherwise != nullptr ? std::optional(*otherwise) : std::nullopt});
  }
  return columns;
}

std::optional<Value> read_cell(const TableColumn& column, const Value* raw, bool text) {
  const Type type = column.schema ? column.schema->type() : Type::any();
  const bool blank =
      raw == nullptr || raw->is_null() || (text && raw->is_string() && raw->as_string().empty());
  if (blank) return empty_cell(column, type, raw);
  // Text of a database may hold JSON as well, where no text is wanted.
  const bool wants_text = type.can_be(Type::kString);
  if (!raw->is_string() || wants_text) return *raw;
  return parsed_cell(type, *raw).with_labels(raw->labels());
}

Value read_row(const std::vector<TableColumn>& columns, const Value& row, bool text) {
  if (columns.empty()) return row;
  std::vector<Value::Member> members;
  members.reserve(columns.size());
  for (const TableColumn& column : columns) {
    auto cell = read_cell(column, row.find(column.name), text);
    if (cell) members.emplace_back(column.name, std::move(*cell));
  }
  return Value::object(std::move(members));
}

}  // namespace sluice
