#include "cli/table.h"

#include <algorithm>

namespace sluice::cli {
namespace {

bool begins_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }

std::string padded(std::string_view text, std::size_t width, Table::Align align) {
  const std::size_t shown = shown_width(text);
  const std::string blank(width > shown ? width - shown : 0, ' ');
  return align == Table::Align::kRight ? blank + std::string(text) : std::string(text) + blank;
}

}  // namespace

std::size_t shown_width(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, begins_character));
}

std::string fitted_text(std::string_view text, std::size_t most) {
  if (shown_width(text) <= most) return std::string(text);
  std::size_t characters = 0;
  std::size_t end = 0;
  while (end < text.size()) {
    if (begins_character(text[end]) && ++characters + 3 > most) break;
    ++end;
  }
  return std::string(text.substr(0, end)) + "...";
}

std::string Table::text(const Terminal& terminal) const {
  std::vector<std::size_t> widths;
  for (const Column& column : columns_) widths.push_back(shown_width(column.name));
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], shown_width(row[i].text));
    }
  }
  std::size_t before_last = 0;
  for (std::size_t i = 0; i + 1 < widths.size(); ++i) before_last += widths[i] + 2;
  const auto columns =
      static_cast<std::size_t>(terminal.interactive ? terminal.columns() : 1 << 20);
  const std::size_t last = columns > before_last + 12 ? columns - before_last - 1 : 12;
  auto line = [&](const auto& cell_of, auto ink_of) {
    std::string out;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const bool is_last = i + 1 == columns_.size();
      std::string cell = is_last ? fitted_text(cell_of(i), last)
                                 : padded(cell_of(i), widths[i], columns_[i].align);
      const std::optional<Ink> ink = ink_of(i);
      out += (i == 0 ? "" : "  ") + (ink ? painted(terminal, *ink, cell) : cell);
    }
    out.erase(out.find_last_not_of(' ') + 1);
    return out + "\n";
  };
  std::string out = line([&](std::size_t i) { return columns_[i].name; },
                         [](std::size_t) { return std::optional(Ink::kDim); });
  for (const auto& row : rows_) {
    out += line([&](std::size_t i) { return i < row.size() ? row[i].text : std::string(); },
                [&](std::size_t i) { return i < row.size() ? row[i].ink : std::nullopt; });
  }
  return out;
}

}  // namespace sluice::cli
