#include "host/row_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "data/json.h"
#include "host/read_file.h"

namespace sluice {
namespace {

constexpr std::size_t kMaxRowFileBytes = std::size_t{2} << 30;

Result<Value> parse_json_lines(std::string_view text) {
  std::vector<Value> rows;
  std::size_t line = 0;
  while (!text.empty()) {
    ++line;
    std::size_t end = text.find('\n');
    std::string_view one = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (one.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    auto row = parse_json(one);
    if (!row)
      return fail(row.error().code(), fmt::format("line {}: {}", line, row.error().message()));
    rows.push_back(std::move(*row));
  }
  return Value::array(std::move(rows));
}

// One record of RFC 4180: cells may be quoted, "" inside quotes is one quote, and quoted cells may
// hold line ends.
class CsvReader {
 public:
  CsvReader(std::string_view text, char separator) : rest_(text), separator_(separator) {
    if (rest_.starts_with("\xEF\xBB\xBF")) rest_.remove_prefix(3);
  }

  std::size_t line() const { return line_; }
  bool at_end() const { return rest_.empty(); }

  Result<std::vector<std::string>> next() {
    std::vector<std::string> cells;
    first_line_ = ++line_;
    while (true) {
      auto cell = next_cell();
      if (!cell) return std::unexpected(cell.error());
      cells.push_back(std::move(*cell));
      if (!rest_.empty() && rest_.front() == separator_) {
        rest_.remove_prefix(1);
        continue;
      }
      if (rest_.starts_with("\r\n")) rest_.remove_prefix(1);
      if (!rest_.empty()) rest_.remove_prefix(1);
      return cells;
    }
  }

 private:
  bool at_cell_end() const {
    return rest_.empty() || rest_.front() == separator_ || rest_.front() == '\n' ||
           rest_.starts_with("\r\n");
  }
  Result<std::string> next_cell() {
    std::string cell;
    if (rest_.empty() || rest_.front() != '"') {
      while (!at_cell_end()) take(cell);
      return cell;
    }
    rest_.remove_prefix(1);
    while (true) {
      if (rest_.empty()) {
        return fail(ErrorCode::kParamInvalid,
                    fmt::format("line {}: a quoted cell is never closed", first_line_));
      }
      if (rest_.starts_with("\"\"")) {
        rest_.remove_prefix(1);
      } else if (rest_.front() == '"') {
        rest_.remove_prefix(1);
        break;
      }
      take(cell);
    }
    if (!at_cell_end()) {
      return fail(ErrorCode::kParamInvalid,
                  fmt::format("line {}: text after the closing quote of a cell", line_));
    }
    return cell;
  }
  void take(std::string& cell) {
    if (rest_.front() == '\n') ++line_;
    cell.push_back(rest_.front());
    rest_.remove_prefix(1);
  }

  std::string_view rest_;
  char separator_;
  std::size_t line_ = 0;
  std::size_t first_line_ = 0;
};

Result<Value> parse_csv(std::string_view text, char separator) {
  CsvReader reader(text, separator);
  if (reader.at_end()) return Value::array({});
  auto header = reader.next();
  if (!header) return std::unexpected(header.error());
  auto sorted = *header;
  std::ranges::sort(sorted);
  if (auto twice = std::ranges::adjacent_find(sorted); twice != sorted.end()) {
    return fail(ErrorCode::kParamInvalid, fmt::format("two columns are called '{}'", *twice));
  }
  std::vector<Value> rows;
  while (!reader.at_end()) {
    auto cells = reader.next();
    if (!cells) return std::unexpected(cells.error());
    if (cells->size() == 1 && cells->front().empty() && header->size() > 1) continue;  // blank line
    if (cells->size() != header->size()) {
      return fail(ErrorCode::kParamInvalid,
                  fmt::format("line {}: {} cells, the header has {}", reader.line(), cells->size(),
                              header->size()));
    }
    std::vector<Value::Member> members;
    for (std::size_t i = 0; i < cells->size(); ++i) {
      members.emplace_back((*header)[i], Value::string((*cells)[i]));
    }
    rows.push_back(Value::object(std::move(members)));
  }
  return Value::array(std::move(rows));
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
