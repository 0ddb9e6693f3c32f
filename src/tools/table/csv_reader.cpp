#include "tools/table/csv_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

constexpr int kEnd = -1;
// A quote that is never closed makes the rest of the file one cell.
constexpr std::size_t kMostRecordBytes = std::size_t{64} << 20;

}  // namespace

std::unexpected<Error> CsvReader::wrong(std::uint64_t line, std::string_view what) const {
  if (failure_) return std::unexpected(*failure_);
  return fail(ErrorCode::kTableInvalid, fmt::format("line {}: {}", line, what));
}

int CsvReader::peek() {
  while (at_ == piece_.size() && !ended_) {
    auto next = source_->next();
    ended_ = !next || next->empty();
    if (next && !std::exchange(begun_, true)) next = without_byte_order_mark(*next);
    if (!next) {
      failure_ = next.error();
      ended_ = true;
    }
    piece_ = ended_ ? std::string_view() : *next;
    at_ = 0;
  }
  return at_ < piece_.size() ? static_cast<unsigned char>(piece_[at_]) : kEnd;
}

Result<bool> CsvReader::next(std::vector<std::string>& cells) {
  cells.clear();
  const bool at_end = peek() == kEnd;
  if (failure_) return std::unexpected(*failure_);
  if (at_end) return false;
  record_line_ = line_;
  record_bytes_ = 0;
  while (true) {
    cell_line_ = line_;
    std::string& cell = cells.emplace_back();
    auto after = read_cell(cell);
    if (!after) return std::unexpected(after.error());
    if (failure_) return std::unexpected(*failure_);
    if (auto text = check_utf8(cell, cell_line_); !text) return std::unexpected(text.error());
    record_bytes_ += cell.size() + 1;
    if (*after == After::kRecord) return true;
  }
}

Result<void> CsvReader::bounded(const std::string& cell) {
  if (record_bytes_ + cell.size() <= kMostRecordBytes) return {};
  return wrong(record_line_,
               fmt::format("the record is larger than {} MiB; is a quote never closed?",
                           kMostRecordBytes >> 20));
}

bool CsvReader::ends_behind_cr() {
  const int c = peek();
  if (c != '\n') return c == kEnd;
  ++at_;
  ++line_;
  return true;
}

Result<CsvReader::After> CsvReader::read_cell(std::string& cell) {
  if (peek() == '"') {
    ++at_;
    return read_quoted(cell);
  }
  while (true) {
    std::size_t stop = at_;
    while (stop < piece_.size() && piece_[stop] != separator_ && piece_[stop] != '\n' &&
           piece_[stop] != '\r') {
      ++stop;
    }
    cell.append(piece_.substr(at_, stop - at_));
    at_ = stop;
    if (auto good = bounded(cell); !good) return std::unexpected(good.error());
    const int c = peek();
    if (c == kEnd) return After::kRecord;
    const bool separator = c == static_cast<unsigned char>(separator_);
    if (!separator && c != '\n' && c != '\r') continue;  // a new piece begins with it
    ++at_;
    if (separator) return After::kCell;
    if (c == '\n') {
      ++line_;
      return After::kRecord;
    }
    if (ends_behind_cr()) return After::kRecord;
    cell.push_back('\r');
  }
}

Result<CsvReader::After> CsvReader::read_quoted(std::string& cell) {
  while (true) {
    if (peek() == kEnd) return wrong(cell_line_, "a quoted cell is never closed");
    const std::size_t quote = std::min(piece_.find('"', at_), piece_.size());
    const std::string_view part = piece_.substr(at_, quote - at_);
    cell.append(part);
    line_ += static_cast<std::uint64_t>(std::ranges::count(part, '\n'));
    at_ = quote;
    if (auto good = bounded(cell); !good) return std::unexpected(good.error());
    if (at_ == piece_.size()) continue;
    ++at_;
    if (peek() != '"') return after_quoted();
    cell.push_back('"');
    ++at_;
  }
}

Result<CsvReader::After> CsvReader::after_quoted() {
  const int c = peek();
  if (c == kEnd) return After::kRecord;
  ++at_;
  if (c == static_cast<unsigned char>(separator_)) return After::kCell;
  if (c == '\n') {
    ++line_;
    return After::kRecord;
  }
  if (c == '\r' && ends_behind_cr()) return After::kRecord;
  return wrong(line_, "text after the closing quote of a cell; a quote inside is written \"\"");
}

namespace {

class CsvTable final : public TableReader {
 public:
  CsvTable(std::unique_ptr<ByteSource> source, char separator)
      : reader_(std::move(source), separator) {}

  Result<void> read_header() {
    auto more = reader_.next(columns_);
    if (!more) return std::unexpected(more.error());
    for (const std::string& name : columns_) {
      const std::size_t at = name.find('\r');
      if (at == std::string::npos || name[std::min(at + 1, name.size() - 1)] == '\n') continue;
      return fail(ErrorCode::kTableInvalid,
                  "line 1: lines end in CR alone, as on old Macs; turn them into lines with: "
                  "tr '\\r' '\\n'");
    }
    if (columns_.size() == 1 && columns_.front().empty()) {
      return fail(ErrorCode::kTableInvalid,
                  "line 1 is blank; the first line of a table names its columns");
    }
    auto sorted = columns_;
    std::ranges::sort(sorted);
    if (auto twice = std::ranges::adjacent_find(sorted); twice != sorted.end()) {
      return fail(ErrorCode::kTableInvalid,
                  twice->empty()
                      ? std::string("line 1: two columns have no name; give each a name of its own")
                      : fmt::format("line 1: two columns are called '{}'", *twice));
    }
    return {};
  }

  const std::vector<std::string>& columns() const override { return columns_; }
  std::string place() const override { return fmt::format("line {}", reader_.line()); }
  bool cells_are_text() const override { return true; }

  Result<bool> skip() override {
    while (true) {
      auto more = reader_.next(cells_);
      if (!more || !*more) return more;
      // A blank line is no row, but where it can be one: an empty cell of a single column.
      if (cells_.size() == 1 && cells_.front().empty() && columns_.size() != 1) continue;
      if (cells_.size() == columns_.size()) return true;
      return fail(ErrorCode::kTableInvalid,
                  fmt::format("line {}: {} cell{}, the header has {}", reader_.line(),
                              cells_.size(), cells_.size() == 1 ? "" : "s", columns_.size()));
    }
  }

  Result<std::optional<Value>> next() override {
    auto more = skip();
    if (!more) return std::unexpected(more.error());
    if (!*more) return std::nullopt;
    std::vector<Value::Member> members;
    members.reserve(columns_.size());
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      members.emplace_back(columns_[i], Value::string(cells_[i]));
    }
    return Value::object(std::move(members));
  }

 private:
  CsvReader reader_;
  std::vector<std::string> columns_;
  std::vector<std::string> cells_;
};

}  // namespace

Result<std::unique_ptr<TableReader>> open_csv_table(std::unique_ptr<ByteSource> source,
                                                    char separator) {
  auto table = std::make_unique<CsvTable>(std::move(source), separator);
  if (auto read = table->read_header(); !read) return std::unexpected(read.error());
  return table;
}

}  // namespace sluice
