#include "host/files/row_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "data/json.h"
#include "host/files/read_file.h"
#include "tools/table/byte_source.h"
#include "tools/table/csv_reader.h"
#include "tools/table/json_lines_reader.h"

namespace sluice {
namespace {

constexpr std::size_t kMaxRowFileBytes = std::size_t{2} << 30;

Result<Value> parse_json_lines(std::string_view text) {
  JsonLinesReader reader(ByteSource::of_text(text));
  std::vector<Value> rows;
  while (true) {
    auto row = reader.next();
    if (!row) return std::unexpected(row.error());
    if (!*row) return Value::array(std::move(rows));
    rows.push_back(std::move(**row));
  }
}

Result<Value> parse_csv(std::string_view text, char separator) {
  auto reader = open_csv_table(ByteSource::of_text(text), separator);
  if (!reader) return std::unexpected(reader.error());
  std::vector<Value> rows;
  while (true) {
    auto row = (*reader)->next();
    if (!row) return std::unexpected(row.error());
    if (!*row) return Value::array(std::move(rows));
    rows.push_back(std::move(**row));
  }
}

}  // namespace

Result<RowFormat> row_format_of(const std::filesystem::path& file) {
  const std::string end = file.extension().string();
  if (end == ".jsonl" || end == ".ndjson") return RowFormat::kJsonLines;
  if (end == ".csv" || end == ".tsv") return RowFormat::kCsv;
  if (end == ".json") return RowFormat::kJsonArray;
  return fail(ErrorCode::kUsage,
              fmt::format("cannot tell what rows {} holds; name it .jsonl, .csv, .tsv or .json",
                          file.string()));
}

Result<Value> parse_rows(std::string_view text, RowFormat format, char separator) {
  if (const std::size_t valid = utf8_valid_prefix(text); valid < text.size()) {
    auto line = std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(valid), '\n');
    return fail(ErrorCode::kUtf8Invalid, fmt::format("line {} is not UTF-8 text", line + 1));
  }
  if (format == RowFormat::kJsonLines) return parse_json_lines(text);
  if (format == RowFormat::kCsv) return parse_csv(text, separator);
  auto value = parse_json(text);
  if (value && !value->is_array()) {
    return fail(ErrorCode::kParamInvalid, "the file holds no JSON array of rows");
  }
  return value;
}

Result<Value> read_rows(const std::filesystem::path& file) {
  auto format = row_format_of(file);
  if (!format) return std::unexpected(format.error());
  auto text = read_file(file, kMaxRowFileBytes);
  if (!text) return std::unexpected(text.error());
  auto rows = parse_rows(*text, *format, file.extension() == ".tsv" ? '\t' : ',');
  if (!rows) {
    return fail(ErrorCode::kParamInvalid,
                fmt::format("{}: {}", file.string(), rows.error().message()));
  }
  return rows;
}

}  // namespace sluice
