#include "tools/table/json_lines_reader.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "data/json.h"

namespace sluice {
namespace {

constexpr std::size_t kMostLineBytes = std::size_t{64} << 20;
constexpr std::string_view kArrayAdvice = "; an array becomes lines with: jq -c '.[]'";
constexpr std::string_view kObjectAdvice = "; a value is one line, as written by: jq -c .";

// JSON over several lines, as people like to read it.
std::string_view advice(std::string_view line) {
  const std::size_t end = line.find_last_not_of(" \t\r");
  if (line.substr(0, end + 1) == "{") return kObjectAdvice;
  return line.starts_with('[') ? kArrayAdvice : "";
}

// A line of its own needs no count of lines.
std::string without_line(std::string words) {
  constexpr std::string_view kLine = "line 1, ";
  const std::size_t at = words.find(kLine);
  return at == std::string::npos ? words : words.erase(at, kLine.size());
}

class JsonLinesTable final : public TableReader {
 public:
  explicit JsonLinesTable(std::unique_ptr<ByteSource> source) : lines_(std::move(source)) {}

  const std::vector<std::string>& columns() const override { return none_; }
  bool cells_are_text() const override { return false; }
  std::string place() const override { return fmt::format("line {}", lines_.line()); }

  Result<std::optional<Value>> next() override {
    auto row = lines_.next();
    if (!row || !*row || (*row)->is_object()) return row;
    return fail(
        ErrorCode::kTableInvalid,
        fmt::format("line {}: a row is an object such as {{\"name\": 1}}, not {}{}", lines_.line(),
                    kind_with_article((*row)->kind()), (*row)->is_array() ? kArrayAdvice : ""));
  }
  Result<bool> skip() override {
    auto row = next();
    if (!row) return std::unexpected(row.error());
    return row->has_value();
  }

 private:
  JsonLinesReader lines_;
  std::vector<std::string> none_;
};

}  // namespace

Result<bool> JsonLinesReader::next_line(std::string& line) {
  line.clear();
  bool any = false;
  while (true) {
    if (piece_.empty() && !ended_) {
      auto next = source_->next();
      ended_ = next && next->empty();
      if (next && !std::exchange(begun_, true)) next = without_byte_order_mark(*next);
      if (!next) return std::unexpected(next.error());
      piece_ = *next;
      if (piece_.empty()) continue;
    }
    if (ended_) break;
    any = true;
    const std::size_t end = piece_.find('\n');
    line.append(piece_.substr(0, end));
    if (line.size() > kMostLineBytes) {
      return fail(ErrorCode::kTableInvalid,
                  fmt::format("line {} is longer than {} MiB", line_ + 1, kMostLineBytes >> 20));
    }
    piece_.remove_prefix(end == std::string_view::npos ? piece_.size() : end + 1);
    if (end != std::string_view::npos) break;
  }
  if (any) ++line_;
  return any;
}

Result<std::optional<Value>> JsonLinesReader::next() {
  while (true) {
    auto more = next_line(text_);
    if (!more) return std::unexpected(more.error());
    if (!*more) return std::nullopt;
    if (text_.find_first_not_of(" \t\r") == std::string::npos) continue;
    if (auto good = check_utf8(text_, line_); !good) return std::unexpected(good.error());
    auto value = parse_json(text_);
    if (value) return std::move(*value);
    return fail(
        ErrorCode::kTableInvalid,
        fmt::format("line {}: {}{}", line_, without_line(value.error().message()), advice(text_)));
  }
}

Result<std::unique_ptr<TableReader>> open_json_lines_table(std::unique_ptr<ByteSource> source) {
  return std::make_unique<JsonLinesTable>(std::move(source));
}

}  // namespace sluice
