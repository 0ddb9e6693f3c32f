#include "tools/table/csv_writer.h"

#include <algorithm>
#include <utility>

#include "data/json.h"
#include "tools/table/blob_cells.h"
#include "tools/table/output_file.h"

namespace sluice {
namespace {

void add_cell(std::string& line, std::string_view cell, char separator, bool alone) {
  const bool quoted = (alone && cell.empty()) || std::ranges::any_of(cell, [&](char c) {
                        return c == separator || c == '"' || c == '\n' || c == '\r';
                      });
  if (!quoted) {
    line.append(cell);
    return;
  }
  line += '"';
  for (char c : cell) {
    if (c == '"') line += '"';
    line += c;
  }
  line += '"';
}

class CsvWriter final : public TableWriter {
 public:
  CsvWriter(OutputFile file, const std::vector<std::string>& columns, char separator)
      : file_(std::move(file)), columns_(columns), separator_(separator) {}

  Result<void> header() {
    return columns_.empty() ? Result<void>() : file_.write(csv_record(columns_, separator_));
  }
  Result<void> row(const Value& row) override {
    if (columns_.empty()) return {};
    cells_.clear();
    for (const std::string& column : columns_) {
      const Value* value = row.find(column);
      cells_.push_back(value != nullptr ? cell_text(*value) : "");
    }
    return file_.write(csv_record(cells_, separator_));
  }
  Result<void> end() override { return file_.commit(); }

 private:
  OutputFile file_;
  std::vector<std::string> columns_;
  std::vector<std::string> cells_;
  char separator_;
};

}  // namespace

std::string cell_text(const Value& value) {
  if (value.is_null()) return "";
  if (value.is_string() && !value.labels().secret) return std::string(value.as_string());
  const Value text = with_blobs_as_text(value);
  if (value.kind() == Value::Kind::kBlob && text.is_string()) return std::string(text.as_string());
  return to_json(text);
}

std::string csv_record(const std::vector<std::string>& cells, char separator) {
  std::string line;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (i > 0) line += separator;
    add_cell(line, cells[i], separator, cells.size() == 1);
  }
  return line + "\n";
}

Result<std::unique_ptr<TableWriter>> open_csv_writer(const std::filesystem::path& file,
                                                     const std::vector<std::string>& columns,
                                                     char separator, std::string_view owner) {
  auto output = OutputFile::create(file, owner);
  if (!output) return std::unexpected(output.error());
  auto writer = std::make_unique<CsvWriter>(std::move(*output), columns, separator);
  if (auto written = writer->header(); !written) return std::unexpected(written.error());
  return writer;
}

}  // namespace sluice
