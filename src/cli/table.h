// Tables for people: columns as wide as what stands in them, headings dim on a terminal. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/terminal.h"

namespace sluice::cli {

class Table {
 public:
  enum class Align : bool { kLeft, kRight };
  struct Column {
    std::string name;
    Align align = Align::kLeft;
  };
  struct Cell {
    std::string text;
    std::optional<Ink> ink = std::nullopt;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void add(std::vector<Cell> row) { rows_.push_back(std::move(row)); }
  bool empty() const { return rows_.empty(); }
  // The last column is cut to what fits on the terminal, where there is one.
  std::string text(const Terminal& terminal) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// The number of characters, not of bytes.
std::size_t shown_width(std::string_view text);
// At most `most` characters, with "..." where there were more.
std::string fitted_text(std::string_view text, std::size_t most);

}  // namespace sluice::cli
